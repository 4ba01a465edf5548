"""Bisection for the cheapest plan that keeps a permitted drop; what a plan loses is a function here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from quantune.data.arrays import random_dataset
from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.job import drop_search
from quantune.job.drops import Drop
from quantune.job.job import Job
from quantune.numerics import quantization_from_range
from quantune.plan.budget import Goal, parse_budgets
from quantune.plan.cost import MEASURED, Line, Price, Prices
from quantune.plan.schema import Plan
from quantune.plan.strategies.request import Request
from quantune.progress import Silent
from quantune.sensitivity.result import LayerSensitivity, Sensitivity

COUNT, SHAPE = 24, (1, 4, 4, 8)
LOCAL = 1e-5
Loses = Callable[[float], float]
"""Predicted SQNR of a plan, dB → what it is found to lose, in points."""


def request(goal: Goal) -> Request:
    """A chain of layers, each of which is half as large and half as noisy in 4 bits as the one before."""
    names = [f"c{index}" for index in range(COUNT)]
    layers = [
        Layer(name, "conv2d", (source,), SHAPE, weight=np.ones((1, 1, 8, 8), np.float32))
        for name, source in zip(names, ["input", *names], strict=False)
    ]
    noise = {name: 1e-2 * 2.0 ** -(index / 2) for index, name in enumerate(names)}
    metrics = {
        name: LayerSensitivity(
            weight_nsr={**dict.fromkeys(range(2, 8), noise[name]), 8: 1e-7},
            added_nsr={**dict.fromkeys(range(2, 8), noise[name]), 8: 0.0},
            activation_sqnr_db=70.0,
            local_nsr=LOCAL,
        )
        for name in names
    }
    price = {p: Price(cost, size, MEASURED) for p, cost, size in (("w8a8", 10, 64), ("w4a8", 9, 32))}
    price["f32"] = Price(30.0, 256, MEASURED)
    stored = {name: quantization_from_range(-1, 1, 8) for name in ["input", *names]}
    line = Line(5.0, 0, MEASURED)
    return Request(
        *("net", Graph({"input": SHAPE}, tuple(layers), (names[-1],)), "host", stored),
        sensitivity=Sensitivity(1, 2, COUNT * LOCAL, metrics),
        prices=Prices(dict.fromkeys(names, price), line, line),
        menu=(8, 4),
        goal=goal,
    )


@dataclass
class Ladder:
    """Stands in for a job and for measuring drops; `tried` has the predicted SQNR of every candidate."""

    loses: Loses
    labelled: bool = True
    progress: Any = field(default_factory=Silent)
    tried: list[float] = field(default_factory=list)

    def request(self, menu: Sequence[int] | None, goal: Goal) -> Request:
        return request(goal)

    def finished(self, plan: Plan) -> Plan:
        return plan

    def measured(self, job: Job, plan: Plan, dataset: Any) -> Drop:
        self.tried.append(plan.report["predicted_sqnr_db"])
        lost = self.loses(self.tried[-1])
        return Drop(lost, 1 - lost / 100 if self.labelled else None, 1 - lost / 100, 0.0, 100, "pictures")

    def search(self, monkeypatch: pytest.MonkeyPatch, points: float, *budgets: str) -> Plan:
        monkeypatch.setattr(drop_search, "measured_drop", self.measured)
        goal = Goal(parse_budgets(budgets), None, "size")
        job: Any = self
        return drop_search.plan_within_drop(job, (8, 4), goal, points, random_dataset(2, (3, 4, 4)))


def steep(decibels: float) -> float:
    """20 points at 10 dB, halved with every 3 dB: 1 point at 23 dB."""
    return float(20 * 2 ** ((10 - decibels) / 3))


@pytest.mark.parametrize("labelled", [True, False], ids=["labels", "agreement"])
@pytest.mark.parametrize("points", [0.25, 1.0, 4.0])
def test_the_cheapest_of_several_candidates(
    monkeypatch: pytest.MonkeyPatch, labelled: bool, points: float
) -> None:
    ladder = Ladder(steep, labelled)
    report = ladder.search(monkeypatch, points).report
    assert 3 <= len(ladder.tried) <= drop_search.MOST_CANDIDATES
    assert ladder.tried[0] == min(ladder.tried)  # the cheapest of all comes first
    kept = [sqnr for sqnr in ladder.tried if steep(sqnr) <= points]
    assert report["predicted_sqnr_db"] == min(kept) and report["drop"]["points"] == steep(min(kept)) <= points
    # what is given away is no more than bisection leaves open and the next better plan is apart
    exact = 10 - 3 * np.log2(points / 20)
    assert exact <= report["predicted_sqnr_db"] <= exact + 1.5
    assert report["drop"]["measures"] == ("top-1" if labelled else "disagreement with fp32")
    assert [c["drop"] for c in report["candidates"]] == [steep(sqnr) for sqnr in ladder.tried]
    assert len({c["predicted_bytes"] for c in report["candidates"]}) == len(ladder.tried)


def test_the_cheapest_of_all_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(lambda decibels: 0.5)
    assert ladder.search(monkeypatch, 0.5).report["predicted_bytes"] == COUNT * 32
    assert len(ladder.tried) == 1


def test_only_fp32_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(lambda decibels: 0.0 if decibels > 100 else 50.0)
    plan = ladder.search(monkeypatch, 1.0)
    assert {choice.precision for choice in plan.layers.values()} == {"float"}
    assert len(ladder.tried) <= drop_search.MOST_CANDIDATES + 1


def test_a_drop_that_nothing_within_the_budgets_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says how close the best comes, and what it is."""
    ladder = Ladder(steep)
    with pytest.raises(QuantuneError) as caught:
        ladder.search(monkeypatch, 0.01, "size=0.15x")
    best = min(steep(sqnr) for sqnr in ladder.tried)
    message = str(caught.value)
    assert f"the best of {len(ladder.tried)} measured loses {best:.2f} (top-1, 100 images)" in message
    assert "no plan within the budgets loses at most 0.01 points" in message and "allow more" in message
    with pytest.raises(QuantuneError, match=r"no plan meets the budget size=0\.1x .*the smallest has"):
        ladder.search(monkeypatch, 1.0, "size=0.1x")
