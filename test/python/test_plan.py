"""plan.json edited by hand: what globs and partial entries do, and what each mistake is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantune.errors import PlanError, QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.plan.boundaries import boundaries
from quantune.plan.edit import load_plan
from quantune.plan.schema import LayerPlan, Plan, Quantization

Edit = Callable[[dict[str, Any]], object]

SHAPE = (1, 4, 4, 2)
FACTS = {"strides": [1, 1], "dilations": [1, 1], "padding": [[0, 0], [0, 0]]}


def conv(name: str, source: str, seed: int) -> Layer:
    weight = np.random.default_rng(seed).normal(size=(1, 1, 2, 2)).astype(np.float32)
    return Layer(name, "conv2d", (source,), SHAPE, FACTS, weight=weight, bias=np.zeros(2, np.float32))


@pytest.fixture
def graph() -> Graph:
    layers = (
        conv("stem", "input", 1),
        Layer("pool", "max_pool", ("stem",), SHAPE, {**FACTS, "kernel": [1, 1]}),
        conv("layer1.0.conv1", "pool", 2),
        conv("layer1.0.conv2", "layer1.0.conv1", 3),
        Layer("gelu", "opaque", ("layer1.0.conv2",), SHAPE, {"operation": "math.erf"}),
        conv("head", "gelu", 4),
    )
    return Graph({"input": SHAPE}, layers, ("head",))


@pytest.fixture
def plan(graph: Graph) -> Plan:
    layers = {
        layer.name: LayerPlan(
            precision="float" if layer.kind == "opaque" else "integer",
            output=Quantization(8, 0.5 + index / 3, 17 * index),
            weight_bits=8 if layer.is_contraction else None,
            weight_scales=(0.25, 1e-3) if layer.name == "head" else None,
            reason=f"reason {index}",
            alternatives=({"precision": "float", "sqnr": 33.25},),
        )
        for index, layer in enumerate(graph)
    }
    inputs = {"input": Quantization(8, 0.1, 128)}
    return Plan("net", graph.fingerprint, "v2", "host", inputs, layers, {"boundaries": 2})


@pytest.fixture
def edited(plan: Plan, tmp_path: Path) -> Callable[[Edit], Path]:
    """Saves the plan as it is after an edit of its JSON."""

    def save(edit: Edit) -> Path:
        raw = plan.to_json()
        edit(raw)
        (tmp_path / "plan.json").write_text(json.dumps(raw))
        return tmp_path / "plan.json"

    return save


def glob(pattern: str, **settings: Any) -> Edit:
    return lambda raw: raw["layers"].update({pattern: settings})


def test_round_trip(plan: Plan, graph: Graph, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    loaded = load_plan(tmp_path / "plan.json", graph)
    assert loaded == plan
    assert list(loaded.layers) == [layer.name for layer in graph]


def test_glob_overrides_only_what_it_gives(plan: Plan, graph: Graph, edited: Callable[[Edit], Path]) -> None:
    loaded = load_plan(edited(glob("layer1.*", precision="float")), graph)
    changed = {name for name in plan.layers if loaded.layers[name] != plan.layers[name]}
    assert changed == {"layer1.0.conv1", "layer1.0.conv2"}
    for name in changed:
        assert loaded.layers[name].precision == "float"
        assert loaded.layers[name].output == plan.layers[name].output
        assert loaded.layers[name].reason == plan.layers[name].reason
    assert [(b.value, b.consumer, b.kind) for b in boundaries(graph, loaded)] == [
        ("input", "stem", "quantize"),
        ("pool", "layer1.0.conv1", "dequantize"),
        ("gelu", "head", "quantize"),
        ("head", "<output>", "dequantize"),
    ]


def test_globs_apply_in_the_order_of_the_file_and_after_exact_entries(
    graph: Graph, edited: Callable[[Edit], Path]
) -> None:
    def edit(raw: dict[str, Any]) -> None:
        old = raw["layers"]
        raw["layers"] = {
            "*": {"weight_bits": 6},
            **old,
            "*conv[12]": {"weight_bits": 5},
            "*2": {"weight_bits": 4},
        }

    bits = {name: choice.weight_bits for name, choice in load_plan(edited(edit), graph).layers.items()}
    assert bits == {
        "stem": 6,
        "pool": None,
        "layer1.0.conv1": 5,
        "layer1.0.conv2": 4,
        "gelu": None,
        "head": 6,
    }


def test_other_activation_bits_keep_the_range(
    plan: Plan, graph: Graph, edited: Callable[[Edit], Path]
) -> None:
    loaded = load_plan(edited(glob("layer1.*", output={"bits": 6})), graph)
    before, after = plan.layers["layer1.0.conv2"].output, loaded.layers["layer1.0.conv2"].output
    assert before is not None and after is not None
    assert after.bits == 6
    assert after.scale * 63 == pytest.approx(before.scale * 255)
    assert after.zero_point == round(before.zero_point * 63 / 255)
    output = {"bits": 6, "zero_point": 3}
    loaded = load_plan(edited(glob("layer1.*", output=output)), graph)
    assert loaded.layers["layer1.0.conv2"].output == Quantization(6, before.scale, 3)


def test_globs_can_complete_an_entry(graph: Graph, edited: Callable[[Edit], Path]) -> None:
    def edit(raw: dict[str, Any]) -> None:
        del raw["layers"]["stem"]["precision"]

    with pytest.raises(PlanError, match=r"layers\.stem: .*precision"):
        load_plan(edited(edit), graph)

    def completed(raw: dict[str, Any]) -> None:
        edit(raw)
        raw["layers"]["st?m"] = {"precision": "float"}

    assert load_plan(edited(completed), graph).layers["stem"].precision == "float"


def layer(name: str, **settings: Any) -> Edit:
    return lambda raw: raw["layers"][name].update(settings)


def output(**settings: Any) -> Edit:
    return lambda raw: raw["layers"]["stem"]["output"].update(settings)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            glob("layer2.*", precision="float"),
            "'layer2.*' in the plan matches nothing; near matches: layer1.0.conv",
        ),
        (glob("stam", precision="float"), "'stam' in the plan matches nothing; near matches: stem"),
        (glob("Layer1.*", precision="float"), "matches nothing"),
        (
            glob("*", precision="integer"),
            "'gelu' cannot be integer: math.erf is not supported; set it to float",
        ),
        (glob("po*", weight_bits=4), "layers.po*: weight_bits is for layers with weights"),
        (glob("layer1.*", precison="float"), "layers.layer1.0.conv1: unknown setting 'precison'; known: "),
        (glob("layer1.*", precision="int8"), 'must be "integer" or "float", not \'int8\''),
        (glob("*", output={"bits": 9}), "activation bits must be 2..8, not 9"),
        (glob("*", output={"bits": "8"}), "layers.*.output.bits: expected a whole number, found '8'"),
        (glob("*", weight_bits=7.5), "layers.*.weight_bits: expected a whole number, found 7.5"),
        (glob("*", weight_bits=True), "expected a whole number"),
        (layer("stem", weight_bits=9), "layers.stem: weight_bits must be 2..8, not 9"),
        (layer("stem", weight_bits=None), "'stem' is integer but has no weight_bits"),
        (layer("stem", weight_scales=[1.0]), "'stem' has 1 weight_scales for 2 channels"),
        (
            layer("stem", weight_scales=[1.0, float("nan")]),
            "layers.stem.weight_scales: expected positive finite",
        ),
        (layer("stem", weight_scales=3), "layers.stem.weight_scales"),
        (layer("pool", weight_bits=4), "'pool' has no weights"),
        (layer("stem", output=None), "layer stem has no output quantization in the plan, but pool reads it"),
        (output(scale=float("nan")), "layers.stem.output: a scale must be positive and finite, not nan"),
        (output(scale=0), "a scale must be positive and finite, not 0"),
        (output(scale="1"), "layers.stem.output"),
        (output(zero_point=256), "zero point 256 is outside 0..255"),
        (output(zero_point=1.5), "layers.stem.output.zero_point: expected a whole number"),
        (lambda raw: raw["layers"].pop("head"), "says nothing about layer 'head'"),
        (lambda raw: raw["layers"].update(stem="float"), "layers.stem: expected an object, found str"),
        (lambda raw: raw.update(layers=[]), "layers: expected an object, found list"),
        (
            lambda raw: raw.update(schema="quantune.plan/2"),
            "has schema 'quantune.plan/2', this version reads",
        ),
        (lambda raw: raw.pop("layers"), "is not a plan"),
        (lambda raw: raw.pop("strategy"), "strategy is missing"),
        (lambda raw: raw.update(model=3), "model is missing or no text"),
        (lambda raw: raw.update(notes="x"), "unknown setting 'notes'"),
        (lambda raw: raw.update(inputs={"input": None}), "inputs.input: expected an object"),
        (lambda raw: raw.update(inputs={}), "no quantization for the network's input"),
        (lambda raw: raw.update(fingerprint="0123"), "made for model 'net' with other weights or structure"),
    ],
)
def test_mistakes(graph: Graph, edited: Callable[[Edit], Path], edit: Edit, message: str) -> None:
    path = edited(edit)
    with pytest.raises(PlanError) as caught:
        load_plan(path, graph)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_model_comes_before_near_matches(graph: Graph, edited: Callable[[Edit], Path]) -> None:
    other = Graph(graph.inputs, (conv("conv", "input", 5),), ("conv",))
    with pytest.raises(PlanError, match=f"this model has {other.fingerprint}.*make it anew"):
        load_plan(edited(lambda raw: None), other)


def test_without_a_graph(plan: Plan, edited: Callable[[Edit], Path], tmp_path: Path) -> None:
    assert load_plan(edited(lambda raw: raw.update(fingerprint="0123"))).fingerprint == "0123"
    with pytest.raises(PlanError, match=r"'layer1\.\*' is a glob"):
        load_plan(edited(glob("layer1.*", precision="float")))
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(QuantuneError, match="not valid JSON"):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(QuantuneError, match="cannot read"):
        load_plan(tmp_path / "none.json")
