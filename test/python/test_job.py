"""The main job on small networks: two inferences, nothing done twice, and plans that keep their promises."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiled import GetNetwork
from quantune.backend.runner import HostRunner
from quantune.data.arrays import random_dataset
from quantune.data.dataset import Dataset, Image
from quantune.data.sources import load_dataset
from quantune.errors import QuantuneError
from quantune.ingress.load import load_model
from quantune.ingress.model import Model
from quantune.job import modules
from quantune.job.job import Job
from quantune.plan.boundaries import boundaries, integer_values
from quantune.plan.schema import Plan
from quantune.plan.strategies import uniform
from quantune.reference import execute, execute_float
from quantune.repair.repairs import Repairs, pinned, repaired
from quantune.sensitivity.result import Sensitivity
from quantune.targets import get

IMAGES = 5
NARROW = (8, 6, 4)


@dataclass(frozen=True)
class Counted:
    """A data set that counts how often each of its images is read."""

    dataset: Dataset
    reads: Counter[int]

    @staticmethod
    def of(dataset: Dataset) -> Counted:
        reads: Counter[int] = Counter()

        def read(index: int) -> Image:
            reads[index] += 1
            return dataset.read(index)

        return Counted(dataclasses.replace(dataset, read=read), reads)


def pictures(model: Model) -> Dataset:
    """Fashion-MNIST where it is installed, else noise."""
    shape = model.input_shape[1], model.input_shape[2], model.input_shape[3]
    try:
        return load_dataset("fashion-mnist", model.preprocessing, shape, limit=IMAGES)
    except QuantuneError:
        return random_dataset(IMAGES, shape)


@pytest.fixture(scope="module")
def squeezenet(network: GetNetwork) -> Model:
    return network("squeezenet@32").model


@pytest.fixture(scope="module")
def counted(squeezenet: Model) -> Counted:
    return Counted.of(pictures(squeezenet))


@pytest.fixture(scope="module")
def first(squeezenet: Model, counted: Counted, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job that has planned once; every later Job over its folder finds all it needs there."""
    folder = tmp_path_factory.mktemp("job")
    job = Job(squeezenet, get("host"), folder, counted.dataset)
    counted.reads.clear()
    job.plan("v2", NARROW)
    return job


def again(job: Job) -> Job:
    return Job(job.model, job.target, job.folder, job.calibration)


def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("nothing should be compiled or run")

    monkeypatch.setattr(modules, "compile_module", refuse)
    monkeypatch.setattr(HostRunner, "run", refuse)


# Two inferences


def test_two_passes_over_the_calibration_set(first: Job, counted: Counted) -> None:
    assert counted.reads == dict.fromkeys(range(IMAGES), 2)
    found = Sensitivity.load(first.folder / "sensitivity.json")
    assert found.passes == 2
    assert found.images == IMAGES


def test_statistics_hold_every_value(first: Job) -> None:
    statistics = first.statistics()
    assert set(statistics.histograms) == {"input", *(layer.name for layer in first.model.graph)}
    assert statistics.images == IMAGES
    values = execute_float(first.model.graph, {"input": next(iter(first.calibration)).image})
    for name, value in values.items():
        histogram = statistics.histograms[name]
        assert histogram.count == IMAGES * value.size
        tolerance = 1e-4 * float(np.abs(value).max())
        assert histogram.minimum <= value.min() + tolerance
        assert histogram.maximum >= value.max() - tolerance


def test_every_contraction_has_metrics(first: Job) -> None:
    found = Sensitivity.load(first.folder / "sensitivity.json")
    for layer in first.model.graph.contractions:
        metrics = found.layers[layer.name]
        assert metrics.local_sqnr_db is not None and metrics.accumulated_sqnr_db is not None
        # its own error is made of 8-bit weights and rounding: far below what accumulates over a network
        assert 20 < metrics.local_sqnr_db < 100
        widths = sorted(metrics.weight_nsr)
        noise = [metrics.weight_nsr[bits] for bits in widths]
        assert noise == sorted(noise, reverse=True)


# Nothing twice


def test_second_call_runs_nothing(first: Job, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    before = again(first).plan("v2", NARROW)
    reads = counted.reads.copy()
    no_work(monkeypatch)
    assert again(first).plan("v2", NARROW) == before
    assert counted.reads == reads


@pytest.mark.parametrize("lost", ["sensitivity.json", "statistics.json"])
def test_only_what_was_deleted_is_rebuilt(first: Job, counted: Counted, lost: str) -> None:
    before = first.plan("v2", NARROW)
    counted.reads.clear()
    files = ("statistics.json", "sensitivity.json")
    times = {name: (first.folder / name).stat().st_mtime_ns for name in files}
    (first.folder / lost).unlink()
    assert again(first).plan("v2", NARROW) == before
    now = {name: (first.folder / name).stat().st_mtime_ns for name in files}
    assert [name for name in files if now[name] != times[name]] == [lost]
    assert counted.reads == dict.fromkeys(range(IMAGES), 1)


def test_variants_are_built_once(first: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = first.plan("uniform-int8")
    built = first.build("int8", plan, with_text=True)
    no_work(monkeypatch)
    assert again(first).build("int8", plan, with_text=True).size_bytes == built.size_bytes
    # what only explains a decision changes no module
    explained = {name: dataclasses.replace(c, reason="because") for name, c in plan.layers.items()}
    again(first).build("int8", dataclasses.replace(plan, layers=explained), with_text=True)
    name = first.model.graph.contractions[0].name
    other = {**plan.layers, name: dataclasses.replace(plan.layers[name], weight_bits=4)}
    with pytest.raises(AssertionError, match="nothing should be compiled"):
        again(first).build("int8", dataclasses.replace(plan, layers=other), with_text=True)


# What ships


@pytest.mark.parametrize("strategy", ["uniform-int8", "v2"])
def test_shipped_module_equals_the_reference(first: Job, strategy: str) -> None:
    """With real ranges: concatenations share scales, which no synthetic plan has. Biases are corrected."""
    plan = first.plan(strategy, NARROW, max_drop_sqnr_db=6)
    assert all(choice.precision == "integer" for choice in plan.layers.values())
    runner = HostRunner(first.build(f"exact-{strategy}", plan).path)
    repairs = Repairs.load(first.folder / "cache" / f"exact-{strategy}.repairs.json")
    assert repairs.layers.keys() == {layer.name for layer in first.model.graph.contractions}
    graph = repaired(first.model.graph, repairs)
    plan = pinned(plan, first.model.graph, repairs)
    for sample in first.calibration:
        done = execute(graph, plan, {"input": sample.image})
        np.testing.assert_array_equal(runner.run([sample.image])[0], done[graph.outputs[0]])


def test_evaluation_compares_with_fp32(first: Job) -> None:
    first.build("fp32", None)
    plan = first.plan("uniform-int8")
    plain = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, bias_correction=False))
    first.build("int8", plain, with_text=True)
    rows = first.evaluate(["int8"], first.calibration)
    assert rows["fp32"]["agreement"] == 1 and rows["int8"]["images"] == IMAGES
    # the sensitivity's quantized run measured this very network on these very images
    measured = again(first).plan("v2", (8,)).report["uniform_int8_sqnr_db"]
    assert rows["int8"]["sqnr_db"] == pytest.approx(measured, abs=0.1)


# Plans


def bits(plan: Plan, model: Model) -> int:
    """Bits of all weights, floats as 32."""
    total = 0
    for layer in model.graph.contractions:
        choice = plan.layers[layer.name]
        assert layer.weight is not None and choice.weight_bits is not None
        total += layer.weight.size * (choice.weight_bits if choice.precision == "integer" else 32)
    return total


def test_v2_spends_the_permitted_drop_on_fewer_bits(first: Job) -> None:
    plans = {drop: first.plan("v2", NARROW, drop) for drop in (0.0, 3.0, 10.0)}
    sizes = [bits(plan, first.model) for plan in plans.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < bits(first.plan("uniform-int8"), first.model)
    for drop, plan in plans.items():
        assert plan.report["predicted_sqnr_db"] >= plan.report["uniform_int8_sqnr_db"] - drop - 1e-9
        assert {c.weight_bits for c in plan.layers.values()} <= {None, *NARROW}


@pytest.mark.parametrize(("strategy", "width"), list(uniform.WEIGHT_BITS.items()))
def test_uniform_plans_have_one_width(first: Job, strategy: str, width: int) -> None:
    plan = first.plan(strategy)
    assert plan.strategy == strategy
    assert {c.weight_bits for c in plan.layers.values()} == {None, width}
    assert {c.output.bits for c in plan.layers.values() if c.output} == {8}


@pytest.mark.parametrize("strategy", ["v2", "uniform-int8", "uniform-w6", "fp32"])
def test_every_layer_has_a_reason(first: Job, strategy: str) -> None:
    plan = first.plan(strategy, NARROW)
    assert set(plan.layers) == {layer.name for layer in first.model.graph}
    assert all(choice.reason for choice in plan.layers.values())


OUTLIER = '''
import torch
from torch import nn

INPUT_SHAPE = (3, 16, 16)

class Net(nn.Module):
    """conv2 reads a channel that is always 0 with huge weights: harmless in float, fatal to its scales."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 24, 1)
        self.conv3 = nn.Conv2d(24, 32, 3, padding=1)
        self.conv4 = nn.Conv2d(32, 32, 3, padding=1)
        self.fc = nn.Linear(32, 10)
        with torch.no_grad():
            self.conv1.bias[0] = -1000.0
            self.conv2.weight[:, 0] = 300.0

    def forward(self, x):
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        x = torch.relu(self.conv4(torch.relu(self.conv3(x))))
        return self.fc(x.mean((2, 3)))

def net():
    torch.manual_seed(5)
    return Net()
'''


@pytest.fixture(scope="module")
def outlier(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Cortex-A72, so that prices do not depend on the machine the tests run on."""
    folder = tmp_path_factory.mktemp("outlier")
    (folder / "model.py").write_text(OUTLIER)
    model = load_model(f"{folder / 'model.py'}:net")
    return Job(model, get("cortex-a72"), folder, random_dataset(IMAGES, (3, 16, 16)))


def test_v2_leaves_the_noisy_layer_in_float_and_says_why(outlier: Job) -> None:
    plan = outlier.plan("v2", (8,))
    floats = {name: c.reason for name, c in plan.layers.items() if c.precision == "float"}
    assert list(floats) == ["conv2"]
    share = re.match(
        r"float: saves (\d+)% of the noise for .* more time, boundaries included, and .* more bytes "
        r"\(local SQNR .* dB, 1st noisiest of 5\)",
        floats["conv2"],
    )
    assert share is not None and int(share[1]) >= 90
    assert plan.report["predicted_sqnr_db"] > plan.report["uniform_int8_sqnr_db"] + 10
    # and it is right: measured on the outputs
    job = Job(outlier.model, get("host"), outlier.folder / "host", outlier.calibration)
    for variant, chosen in (("fp32", None), ("int8", job.plan("uniform-int8")), ("v2", plan)):
        job.build(variant, chosen)
    rows = job.evaluate(["int8", "v2"], outlier.calibration)
    assert rows["v2"]["sqnr_db"] > rows["int8"]["sqnr_db"] + 10


@pytest.mark.parametrize("strategy", ["v2", "uniform-int8", "fp32"])
def test_boundaries_planned_are_boundaries_left(outlier: Job, tmp_path: Path, strategy: str) -> None:
    """A value that leaves its layer's epilogue in f32 crosses for free: the compiler has nothing to count."""
    plan = outlier.plan(strategy, (8,))
    graph = outlier.model.graph
    stored = integer_values(graph, plan)
    planned = Counter(b.kind for b in boundaries(graph, plan) if b.value in stored)
    built = modules.build(outlier.model, get("host"), tmp_path / "module.vmfb", plan)
    report = built.reports["cancel-qdq"]
    assert (report["quantize"], report["dequantize"]) == (planned["quantize"], planned["dequantize"])
    assert report["boundaries_left"] == planned.total()


@pytest.mark.parametrize("strategy", [None, "uniform-int8"])
def test_what_a_call_leaves_in_memory_does_not_reach_the_next(first: Job, strategy: str | None) -> None:
    plan = None if strategy is None else first.plan(strategy)
    runner = HostRunner(first.build(f"again-{strategy}", plan).path)
    one, other = (sample.image for sample in first.calibration.limited(2))
    before = runner.run([one])[0]
    assert not np.array_equal(runner.run([1e3 * other])[0], before)
    np.testing.assert_array_equal(runner.run([one])[0], before)
