"""Equalization, bias correction and learned rounding: what they promise, and that it is compiled."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compiled import check_integer_layers, compile_instrumented, ranges
from quantune.backend.runner import HostRunner
from quantune.cli.main import run
from quantune.data.arrays import random_dataset
from quantune.errors import QuantuneError
from quantune.graph.extract import extract
from quantune.graph.model import Graph, Layer
from quantune.ingress.load import load_model
from quantune.ingress.model import Model
from quantune.ir.session import Workspace
from quantune.job import metrics
from quantune.job.job import Job
from quantune.numerics import layer_weights, quantization_from_range
from quantune.plan.boundaries import integer_values
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.settings import Settings
from quantune.progress import Silent
from quantune.reference import execute_float
from quantune.repair.bias_correction.correction import correction
from quantune.repair.equalization.balance import equalize
from quantune.repair.equalization.pairs import pairs
from quantune.repair.learned_rounding import rounding
from quantune.repair.module import repaired_model
from quantune.repair.repairs import Constants, Repairs, pinned, repaired
from quantune.repair.walk import mend
from quantune.targets import get

Array = NDArray[Any]
NET = """
import torch
from torch import nn

INPUT_SHAPE = (3, 12, 12)

def net():
    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.Conv2d(8, 12, 1), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(12, 12, 1), nn.ReLU6(),
        nn.Conv2d(12, 12, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(108, 5),
    )
    with torch.no_grad():  # channels of very different ranges, one of them dead
        made[2].weight *= torch.logspace(-2, 1, 8)[:, None, None, None]
        made[0].weight[3] = 0
    return made
"""
IMAGES = 12


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("repair")
    (folder / "net.py").write_text(NET)
    return load_model(f"{folder / 'net.py'}:net")


def dataset(model: Model) -> Any:
    return random_dataset(IMAGES, model.input_shape[1:])  # type: ignore[arg-type]


def inputs(model: Model) -> list[dict[str, Array]]:
    return [dict.fromkeys(model.graph.inputs, sample.image) for sample in dataset(model)]


def int_plan(model: Model, bits: int) -> Plan:
    found = ranges(model.graph, [np.asarray(i["input"]) for i in inputs(model)])
    stored = {name: quantization_from_range(*limits, 8) for name, limits in found.items()}
    layers = {
        la.name: LayerPlan("integer", stored[la.name], bits if la.is_contraction else None)
        for la in model.graph
    }
    return Plan("net", model.graph.fingerprint, "test", "host", {"input": stored["input"]}, layers)


# Equalization


def spread(graph: Graph, first: str, second: str) -> float:
    """How far apart the ranges of the two layers' shared channels are."""
    w1, w2 = graph.layer(first).weight, graph.layer(second).weight
    assert w1 is not None and w2 is not None
    axis = w2.ndim - (1 if graph.layer(second).kind == "depthwise_conv2d" else 2)
    r1 = np.abs(w1).max(axis=tuple(range(w1.ndim - 1)))
    r2 = np.abs(w2).max(axis=tuple(i for i in range(w2.ndim) if i != axis))
    alive = (r1 > 0) & (r2 > 0)
    return float(np.abs(np.log(r1[alive] / r2[alive])).max())


def test_equalization_keeps_the_function_and_evens_out_ranges(net: Model) -> None:
    repairs = equalize(net.graph)
    after = repaired(net.graph, repairs)
    for values in inputs(net):
        (expected,), (got,) = (
            [execute_float(graph, values)[name] for name in graph.outputs] for graph in (net.graph, after)
        )
        np.testing.assert_allclose(got, expected, atol=1e-5 * float(np.abs(expected).max()))
    chain = repairs.report["equalize"]["pairs"]
    assert len(chain) == 3  # convolution, depthwise, convolution, through the pool the next; ReLU6 ends it
    before_spread = max(spread(net.graph, *pair) for pair in chain)
    assert max(spread(after, *pair) for pair in chain) < 0.7 * before_spread
    assert repairs.report["equalize"]["largest_change"] > 0
    dead = net.graph.contractions[0]
    weight = after.layer(dead.name).weight
    assert weight is not None and not weight[..., 3].any() and np.isfinite(weight).all()


def test_no_bias_grows_beyond_its_layers_largest(net: Model) -> None:
    repairs = equalize(net.graph)
    for layer in net.graph.contractions:
        constants = repairs.layers.get(layer.name)
        if constants is not None and constants.bias is not None and layer.bias is not None:
            assert np.abs(constants.bias).max() <= 2 * np.abs(layer.bias).max()


def test_pairs_end_at_bounds_branches_and_outputs() -> None:
    relu, relu6 = (0.0, np.inf), (0.0, 6.0)
    pointwise = np.ones((1, 1, 4, 4), np.float32)

    def layer(name: str, source: str, clamp: tuple[float, float] = relu, **changes: Any) -> Layer:
        made = Layer(name, "conv2d", (source,), (1, 5, 5, 4), weight=pointwise, clamp=clamp)
        return dataclasses.replace(made, **changes)

    layers = (
        layer("a", "x"),
        layer("b", "a", relu6),  # a-b: only the first one's activation counts
        layer("c", "b"),  # b-c: ReLU6
        layer("d", "c"),
        layer("e", "c"),  # c is read twice
        layer("f", "d", inputs=("d", "e"), residual=True),  # a residual may not be scaled
        layer("g", "f"),  # f-g: what f adds is not its own
        Layer("pool", "avg_pool", ("g",), (1, 1, 1, 4)),
        Layer("flat", "reshape", ("pool",), (1, 4)),
        Layer("h", "linear", ("flat",), (1, 4), weight=np.ones((4, 4), np.float32)),
    )
    found = [(first.name, second.name) for first, second in pairs(Graph({"x": (1, 5, 5, 4)}, layers, ("h",)))]
    assert found == [("a", "b"), ("d", "f"), ("g", "h")]
    assert ("a", "b") not in {
        (x.name, y.name) for x, y in pairs(Graph({"x": (1, 5, 5, 4)}, layers, ("a", "h")))
    }


def conv(bias: float = 0.0, **changes: Any) -> Layer:
    weight = np.random.default_rng(0).standard_normal((1, 1, 3, 4)).astype(np.float32)
    layer = Layer(
        "only", "conv2d", ("input",), (1, 5, 5, 4), weight=weight, bias=np.full(4, bias, np.float32)
    )
    return dataclasses.replace(layer, **changes)


def test_a_network_without_pairs_and_nan_are_errors(net: Model) -> None:
    with pytest.raises(QuantuneError, match="equalization finds nothing to change"):
        equalize(Graph({"input": (1, 5, 5, 3)}, (conv(),), ("only",)))
    weight = np.full_like(net.graph.contractions[1].weight, np.nan)
    spoilt = repaired(net.graph, Repairs({net.graph.contractions[1].name: Constants(weight)}))
    with pytest.raises(QuantuneError, match="NaN or infinite"):
        equalize(spoilt)


# Constants in the module


def test_a_rewritten_module_is_the_repaired_graph(net: Model, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    layers = {}
    for layer in net.graph.contractions:
        assert layer.weight is not None
        bias = np.asarray(random.standard_normal(layer.weight.shape[-1]), np.float32)
        layers[layer.name] = Constants(layer.weight * np.float32(0.5), bias)
    assert any(layer.bias is None for layer in net.graph.contractions)  # one of them is new
    repairs = Repairs(layers)
    model = repaired_model(net, repairs, tmp_path / "net.mlirbc")
    with Workspace() as workspace:
        assert extract(workspace.load(model.reference_path)).fingerprint == model.graph.fingerprint
    assert model.graph.fingerprint != net.graph.fingerprint


def test_repairs_survive_their_file(tmp_path: Path) -> None:
    weight, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    repairs = Repairs({"a.b:c": Constants(weight), "d": Constants(weight, bias)}, {"rounding": {"images": 3}})
    repairs.save(tmp_path / "repairs.json")
    loaded = Repairs.load(tmp_path / "repairs.json")
    assert loaded.report == repairs.report and loaded.layers["a.b:c"].bias is None
    np.testing.assert_array_equal(loaded.layers["d"].weight, weight)
    (tmp_path / "repairs.npz").write_bytes(b"nothing")
    with pytest.raises(QuantuneError, match=r"repairs\.json or its \.npz is damaged"):
        Repairs.load(tmp_path / "repairs.json")


# Learned rounding


SHAPES: dict[str, Layer] = {
    "conv2d": Layer("c", "conv2d", ("x",), (1, 6, 6, 8), {"padding": [[1, 1], [1, 1]]}, clamp=(0.0, np.inf)),
    "grouped": Layer(
        "g", "conv2d", ("x",), (1, 3, 3, 8), {"groups": 2, "strides": [2, 2], "padding": [[1, 0], [1, 0]]}
    ),
    "depthwise": Layer("d", "depthwise_conv2d", ("x",), (1, 4, 4, 6), clamp=(0.0, 6.0)),
    "linear": Layer("l", "linear", ("x",), (1, 8)),
}
WEIGHTS = {"conv2d": (3, 3, 6, 8), "grouped": (3, 3, 3, 8), "depthwise": (3, 3, 6), "linear": (6, 8)}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("bits", [4, 3])
def test_learned_weights_lie_on_the_grid_and_beat_nearest(
    kind: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "STEPS", 150)
    random = np.random.default_rng(bits)
    weight = random.standard_normal(WEIGHTS[kind]).astype(np.float32)
    layer = dataclasses.replace(SHAPES[kind], weight=weight, bias=np.full(weight.shape[-1], 0.3, np.float32))
    # nothing is clipped, and inputs depend on each other: independent ones leave rounding nothing to learn
    largest = np.abs(weight).reshape(-1, weight.shape[-1]).max(axis=0)
    scales = largest.astype(np.float64) / (2 ** (bits - 1) - 1)
    nearest = np.asarray(np.rint(weight / scales) * scales, np.float32)
    x = random.standard_normal((64, 6) if kind == "linear" else (64, 6, 6, 6))
    x = np.maximum(x + random.standard_normal((64, *[1] * (x.ndim - 1))), 0)
    exact = torch.tensor(np.asarray(x, np.float32))
    exact = exact if kind == "linear" else exact.permute(0, 3, 1, 2)
    noisy = exact + 0.01 * torch.tensor(random.standard_normal(exact.shape).astype(np.float32))
    learned, after, before = rounding.learn(layer, scales, bits, exact, noisy)
    again = rounding.learn(layer, scales, bits, exact, noisy)[0]
    np.testing.assert_array_equal(learned, again)
    ratio = learned / scales
    np.testing.assert_allclose(ratio, np.rint(ratio), atol=1e-4)
    assert np.abs(np.rint(ratio)).max() <= 2 ** (bits - 1) - 1
    assert np.abs(np.rint(ratio) - weight / scales).max() <= 1 + 1e-5
    assert after < 0.9 * before if bits == 3 else after <= before

    # the same judged by other code: the layer itself, over all that it read
    def loss(w: Array) -> float:
        found = [
            execute_float(
                Graph({"x": x[None].shape}, (dataclasses.replace(layer, weight=w),), (layer.name,)),
                {"x": x[None]},
            )[layer.name]
            for x in nhwc(noisy)
        ]
        wanted = [
            execute_float(Graph({"x": x[None].shape}, (layer,), (layer.name,)), {"x": x[None]})[layer.name]
            for x in nhwc(exact)
        ]
        return float(np.square(np.array(found) - np.array(wanted)).mean())

    assert loss(learned) < loss(nearest) or after == before


def nhwc(x: torch.Tensor) -> Array:
    return np.ascontiguousarray(x.permute(0, 2, 3, 1) if x.dim() == 4 else x)


def test_weights_that_lie_on_the_grid_stay() -> None:
    weight = np.array([[1, -3], [2, 7]], np.float32)
    layer = Layer("l", "linear", ("x",), (1, 2), weight=weight)
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    learned, after, before = rounding.learn(layer, np.ones(2), 4, x, x)
    np.testing.assert_array_equal(learned, weight)
    assert after == before == 0


# Bias correction


def mean_error(model: Model, plan: Plan, repairs: Repairs) -> float:
    """The outputs' mean error over the data, relative to their size, in the numpy reference."""
    from quantune.reference import execute

    graph = repaired(model.graph, repairs)
    plan = pinned(plan, model.graph, repairs)
    (name,) = graph.outputs
    errors, size = [], []
    for values in inputs(model):
        exact = execute_float(model.graph, values)[name]
        errors.append(execute(graph, plan, values)[name] - exact)
        size.append(np.abs(exact))
    return float(np.abs(np.mean(errors, axis=0)).max() / np.mean(size))


def test_errors_that_an_activation_cuts_off_do_not_count() -> None:
    """One channel; the sum far below 0 has the largest error, and is 0 either way."""
    exact, noisy = torch.tensor([[-100.0], [1.0], [3.0]]), torch.tensor([[-55.0], [0.5], [3.5]])
    assert correction(exact, noisy, (0.0, np.inf)).tolist() == [0.0]
    assert correction(exact, noisy, (-np.inf, np.inf)).tolist() == [-15.0]


def test_corrected_sums_deliver_the_mean_they_should() -> None:
    random = np.random.default_rng(0)
    exact = torch.tensor(random.standard_normal((50, 4, 3, 3)), dtype=torch.float32)
    noisy = exact + torch.tensor([0.4, -0.4, 2.0, -2.0]).reshape(1, 4, 1, 1) + 0.1 * exact.flip(0)
    for low, high in ((0.0, np.inf), (0.0, 1.0), (-np.inf, np.inf)):
        found = correction(exact, noisy, (low, high)).reshape(1, 4, 1, 1)
        wanted, got = torch.clamp(exact, low, high), torch.clamp(noisy + found, low, high)
        torch.testing.assert_close(got.mean((0, 2, 3)), wanted.mean((0, 2, 3)), rtol=0, atol=1e-3)


def test_bias_correction_takes_out_the_mean_error(net: Model) -> None:
    plan = int_plan(net, 3)
    repairs = mend(net.graph, plan, Settings(bias_correction=True), dataset(net), Silent())
    assert all(constants.weight is None for constants in repairs.layers.values())
    assert mean_error(net, plan, repairs) < 0.1 * mean_error(net, plan, Repairs())
    assert repairs.report["bias_correction"]["layers"] == len(net.graph.contractions)
    assert repairs.report["bias_correction"]["largest_change"] > 0


def test_float_layers_are_left_alone(net: Model) -> None:
    plan = int_plan(net, 4)
    name = net.graph.contractions[1].name
    layers = plan.layers | {name: dataclasses.replace(plan.layers[name], precision="float")}
    repairs = mend(
        net.graph,
        dataclasses.replace(plan, layers=layers),
        Settings(bias_correction=True),
        dataset(net),
        Silent(),
    )
    assert set(repairs.layers) == {layer.name for layer in net.graph.contractions} - {name}


def test_what_cannot_run_in_batches_and_what_follows_is_left_alone(net: Model) -> None:
    class Said(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    notes: list[str] = []
    first, odd, *after = net.graph.contractions
    opaque = dataclasses.replace(odd, kind="opaque", attributes={"operation": "math.exp"}, weight=None)
    layers = tuple(opaque if layer is odd else layer for layer in net.graph)
    graph = dataclasses.replace(net.graph, layers=layers)
    assert set(mend(graph, int_plan(net, 4), Settings(), dataset(net), Said()).layers) == {first.name}
    assert notes == [
        f"{len(after)} of {len(after) + 1} layers are not mended: "
        f"layer {odd.name} (math.exp) cannot be executed in batches"
    ]


# All together


def test_compiled_is_the_reference_to_the_bit(
    net: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "STEPS", 50)
    chosen = Settings(bias_correction=True, rounding="learned")
    even = repaired_model(net, equalize(net.graph), tmp_path / "even.mlirbc")
    plan = int_plan(even, 4)
    repairs = mend(even.graph, plan, chosen, dataset(net), Silent())
    model = repaired_model(even, repairs, tmp_path / "mended.mlirbc")
    plan = pinned(plan, even.graph, repairs)
    for layer in model.graph.contractions:  # what was learned is what the passes will store
        stored, scales = layer_weights(layer, plan.layers[layer.name])
        np.testing.assert_array_equal((stored * scales).astype(np.float32), layer.weight)
    names = compile_instrumented(model, plan, get("host"), tmp_path / "net.vmfb", kernels=True)
    image = next(iter(dataset(net))).image
    results = HostRunner(tmp_path / "net.vmfb").run([image])[len(model.graph.outputs) :]
    values = dict(zip(names, results, strict=True)) | inputs(net)[0]
    assert check_integer_layers(model.graph, plan, values) == len(model.graph.layers)
    assert set(integer_values(model.graph, plan)) <= {"input", *plan.layers}


def test_a_job_mends_once_and_keeps_fp32(net: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "STEPS", 20)
    chosen = Settings(equalize=True, bias_correction=True, rounding="learned")

    def job() -> Job:
        return Job(net, get("host"), tmp_path, dataset(net), chosen)

    first = job()
    plan = first.plan("uniform-w4")
    assert plan.settings == chosen and plan.fingerprint == first.model.graph.fingerprint
    assert first.imported is net and first.model.graph.fingerprint != net.graph.fingerprint
    first.build("fp32", None)
    built = first.build("w4", plan)
    assert built.reports["rounding"]["layers"] and built.reports["bias_correction"]["seconds"] >= 0
    image = next(iter(dataset(net))).image
    exact = execute_float(net.graph, inputs(net)[0])[net.graph.outputs[0]]
    for variant, tolerance in (("fp32", 1e-4), ("w4", 0.5)):
        (got,) = HostRunner(first.variant_path(variant)).run([image])
        np.testing.assert_allclose(got, exact, atol=tolerance * float(np.abs(exact).max()))
    monkeypatch.setattr("quantune.repair.walk.mend", None)
    assert job().build("w4", plan).reports == built.reports
    (tmp_path / "variants" / "w4.vmfb").unlink()
    assert job().build("w4", plan).reports == built.reports


def test_commands_take_the_methods_and_say_what_they_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounding, "STEPS", 20)
    (tmp_path / "net.py").write_text(NET)
    model = [f"{tmp_path / 'net.py'}:net", "--calibration", "random:4", "--costs", "modelled"]
    words = ["--equalize", "on", "--bias-correction", "on", "--rounding", "learned", "--observer", "entropy"]
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    folder = ["--folder", str(out)]
    assert run(["plan", *model, *words, "--strategy", "uniform-w4", "-o", str(plan), *folder]) == 0
    capfd.readouterr()
    assert run(["compile", *model, "--plan", str(plan), "-o", str(out), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["settings"] == {
        "observer": "entropy",
        "granularity": "channel",
        "scheme": "asymmetric",
        "equalize": True,
        "bias_correction": True,
        "rounding": "learned",
    }
    assert set(said["methods"]) == {"equalize", "bias_correction", "rounding"}
    assert metrics.load(out)["settings"] == said["settings"]
    for extra, naming in (
        (["--plan", str(plan), "--scheme", "symmetric"], "--scheme would change nothing"),
        (["--strategy", "fp32", "--rounding", "learned"], "--rounding would change nothing"),
        (["--equalize", "yes"], "unknown value of --equalize 'yes'"),
    ):
        assert run(["compile", *model, *extra, "-o", str(out)]) == 1
        assert naming in capfd.readouterr().err
