"""The tuner's own space, the plans of its settings, and what is known of a graph before any trial."""

from __future__ import annotations

import itertools

import numpy as np

from quantune.graph.model import Graph, Layer
from quantune.plan.schema import LayerPlan, Plan, Quantization
from quantune.search.database import traits_of
from quantune.search.plans import own_space, settings_of, spared
from quantune.search.space import PAPER
from quantune.search.trials import TRAITS

WORDS = {
    "max": "min-max",
    "KL": "entropy",
    "symmetric_uint8": "symmetric-unsigned",
    "symmetric_power": "power-of-two",
    "8": "int8",
    "mixed": "first-last-float",
    "1": "16",
    "1000": "64",
    "10000": "256",
}
"""The paper's levels → ours; of the calibration sizes the order is what corresponds."""


def small_graph() -> Graph:
    def conv(name: str, inputs: tuple[str, ...], size: int, residual: bool = False) -> Layer:
        weight = np.ones((size, size, 4, 4), np.float32)
        return Layer(
            name, "conv2d", inputs, (1, 8, 8, 4), clamp=(0.0, np.inf), residual=residual, weight=weight
        )

    depthwise = Layer(
        "middle", "depthwise_conv2d", ("first",), (1, 8, 8, 4), weight=np.ones((3, 3, 4), np.float32)
    )
    last = Layer("last", "linear", ("point",), (1, 10), weight=np.ones((256, 10), np.float32))
    layers = (conv("first", ("x",), 3), depthwise, conv("point", ("middle", "first"), 1, True), last)
    return Graph({"x": (1, 8, 8, 4)}, layers, ("last",))


def test_the_published_settings_are_among_ours() -> None:
    space = own_space()
    factors = ("precision", "calibration_images", "clipping", "scheme", "granularity")
    ours = {setting[:5] for setting in space.settings}
    assert space.names[:5] == ("mixed", "calibration_images", "observer", "scheme", "granularity")
    for setting in PAPER.settings:
        said = PAPER.describe(setting)
        assert tuple(WORDS.get(said[name], said[name]) for name in factors) in ours
    switched = {settings_of(space.describe(setting)).bias_correction for setting in space.settings}
    assert switched == {False, True}
    assert len(space.settings) == len(list(itertools.product(*(f.levels for f in space.factors)))) > 96


def test_first_and_last_layers_are_spared() -> None:
    graph = small_graph()
    layers = {layer.name: LayerPlan("integer", Quantization(8, 0.1, 0), 8) for layer in graph}
    plan = Plan("small", "0", "uniform-int8", "host", {"x": Quantization(8, 0.1, 0)}, layers)
    found = spared(plan, graph)
    assert {name: choice.precision for name, choice in found.layers.items()} == {
        "first": "float",
        "middle": "integer",
        "point": "integer",
        "last": "float",
    }
    assert plan.layers["first"].precision == "integer"  # the plan itself is left alone


def test_traits_are_counted() -> None:
    found = traits_of(small_graph())
    assert tuple(found) == TRAITS
    assert (found["conv"], found["depthwise"], found["pointwise"], found["skip"]) == (3, 1, 1, 1)
    assert found["activation"] == 2 and found["size_mb"] > 0
