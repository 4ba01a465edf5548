"""The planner's choice: among options with a price and a noise, and among precisions with real prices."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantune.graph.model import Graph, Layer
from quantune.numerics import quantization_from_range
from quantune.plan.cost import MEASURED, Line, Price, Prices
from quantune.plan.knapsack import Option, cheapest
from quantune.plan.schema import Plan
from quantune.plan.strategies import v2
from quantune.plan.strategies.request import Request
from quantune.sensitivity.result import LayerSensitivity, Sensitivity

NUMBER = st.floats(0.01, 100)
OPTIONS = st.lists(st.builds(Option, st.just(""), NUMBER, NUMBER), min_size=1, max_size=4)


@given(st.lists(OPTIONS, min_size=1, max_size=5), st.floats(0, 1))
def test_near_the_best_combination(lists: list[list[Option]], share: float) -> None:
    """Within the budget, and dearer than the best by less than one item's spread: the relaxation's gap."""
    items = {str(index): options for index, options in enumerate(lists)}
    least = sum(min(o.noise for o in options) for options in lists)
    budget = least + share * sum(max(o.noise for o in options) for options in lists)
    chosen = cheapest(items, budget)
    assert all(chosen[name] in options for name, options in items.items())
    assert sum(o.noise for o in chosen.values()) <= budget * (1 + 1e-9)
    fits = (c for c in itertools.product(*lists) if sum(o.noise for o in c) <= budget)
    best = min(sum(o.price for o in combination) for combination in fits)
    spread = max(max(o.price for o in options) - min(o.price for o in options) for options in lists)
    assert sum(o.price for o in chosen.values()) <= best + spread * (1 + 1e-9)


def test_where_nothing_fits_the_least_noise() -> None:
    items = {"a": [Option("quiet", 5.0, 1.0), Option("loud", 1.0, 2.0)]}
    assert cheapest(items, 0.5)["a"].name == "quiet"


# v2


COUNT = 6
Micros = Mapping[str, float]


def network() -> Graph:
    layers, source = [], "input"
    for index in range(COUNT):
        weight = np.ones((1, 1, 16, 16), np.float32)
        layers.append(Layer(f"c{index}", "conv2d", (source,), (1, 8, 8, 16), weight=weight, macs=16384))
        source = f"c{index}"
    return Graph({"input": (1, 8, 8, 16)}, tuple(layers), (source,))


def planned(
    times: Micros,
    menu: tuple[int, ...] = (8, 7, 6),
    asked: bool = False,
    drop: float = 1.0,
    edge: float = 5.0,
) -> Plan:
    """Of a network whose layers all cost `times` and add the same noise; a boundary takes `edge`."""
    graph = network()
    noise = {bits: 0.01 * 4.0 ** (8 - bits) for bits in range(2, 9)}
    added = {bits: more - noise[8] for bits, more in noise.items()}
    layer = LayerSensitivity(
        weight_nsr=noise, added_nsr=added, activation_sqnr_db=20.0, local_nsr=0.05, local_sqnr_db=13.0
    )
    bytes_of = {name: 1024 if name == "f32" else 256 for name in times}
    found = {name: Price(time, bytes_of[name], MEASURED) for name, time in times.items()}
    request = Request(
        "net",
        graph,
        "host",
        {name: quantization_from_range(-1, 1, 8) for name in ["input", *(la.name for la in graph)]},
        Sensitivity(1, 2, COUNT * 0.05, {la.name: layer for la in graph}),
        Prices({la.name: found for la in graph}, Line(edge, 0, MEASURED), Line(edge, 0, MEASURED)),
        menu,
        asked,
        drop,
    )
    return v2.plan(request)


def widths(plan: Plan) -> list[int]:
    return sorted(c.weight_bits or 0 for c in plan.layers.values() if c.precision == "integer")


SLOW_8 = {"w8a8": 40.0, "w7a8": 20.0, "w6a8": 15.0, "f32": 60.0}
EQUAL = {"w8a8": 10.0, "w7a8": 9.9, "w6a8": 10.1, "f32": 30.0}


def test_narrower_weights_where_they_are_faster_and_noise_permits() -> None:
    none, some, many = (widths(planned(SLOW_8, drop=drop)) for drop in (0.0, 1.0, 20.0))
    assert none == [8] * COUNT and many == [6] * COUNT
    assert some == [7, 7, 8, 8, 8, 8]
    plan = planned(SLOW_8, drop=1.0)
    assert plan.report["predicted_ms"] < plan.report["uniform_int8_ms"]
    assert plan.report["predicted_sqnr_db"] >= plan.report["uniform_int8_sqnr_db"] - 1
    assert plan.report["prices"] == {MEASURED: COUNT}
    narrow = next(c for c in plan.layers.values() if c.weight_bits == 7)
    assert "20 µs (measured on host) instead of 40 µs" in narrow.reason


def test_eight_bits_where_nothing_is_gained() -> None:
    """Also within the margin of what measuring can tell; unless the menu is the user's wish."""
    plan = planned(EQUAL, drop=20)
    assert widths(plan) == [8] * COUNT
    choice = plan.layers["c0"]
    assert "no other on the menu is faster or smaller here" in choice.reason
    assert [a["pays"] for a in choice.alternatives] == [True, False, False, False]
    assert [a["microseconds"] for a in choice.alternatives] == [10.0, 9.9, 10.1, 40.0]
    assert widths(planned(EQUAL, drop=20, asked=True)) == [6] * COUNT


def test_float_where_it_is_faster_with_its_boundaries() -> None:
    fast = EQUAL | {"f32": 1.0}
    plan = planned(fast, menu=(8,), edge=1.0)
    assert {c.precision for c in plan.layers.values()} == {"float"}
    assert {c.precision for c in planned(fast, menu=(8,), edge=20.0).layers.values()} == {"integer"}


def test_the_predicted_time_counts_boundaries() -> None:
    plan = planned(EQUAL, menu=(8,), edge=7.0)
    assert plan.report["uniform_int8_ms"] == pytest.approx((COUNT * 10 + 7) / 1e3)
