"""The frontier: plans of which none is better in one thing without being worse in another, each exact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quantune.plan.schema import Plan
from quantune.plan.solve import Limits, Solution, best
from quantune.plan.strategies.milp import Exact, exact_of, plan_of
from quantune.plan.strategies.misses import missed
from quantune.plan.strategies.request import Request
from quantune.progress import Progress, Silent, stage
from quantune.sensitivity.metrics import decibels

Axis = Literal["latency", "size"]
LEAST_STEP = 1e-3
"""Share of the frontier's width below which two plans are not told apart."""
CLEAR_DB = 60.0
"""More decibels than this are not spread out: f32 has no noise at all, and its SQNR no end."""


@dataclass(frozen=True)
class Point:
    """A plan with its predicted figures; `axis` says which frontier it is on."""

    axis: Axis
    plan: Plan
    milliseconds: float
    bytes: int
    sqnr_db: float


def frontier(request: Request, axis: Axis, count: int, progress: Progress | None = None) -> list[Point]:
    """At most `count` plans from the cheapest to the most accurate that the goal's budgets permit.

    The least noise at each price (the epsilon-constraint method: Y. Haimes, L. Lasdon, D. Wismer, IEEE
    Transactions on Systems, Man, and Cybernetics 1, 1971), prices being halfway where the widest gap is left.
    Raises QuantuneError where no plan keeps all budgets.
    """
    exact, progress = exact_of(request), progress or Silent()
    limits = exact.limits(request.goal)
    with stage(progress, f"solving for {axis}", count):
        found = _spread(exact, axis, limits, count, progress)
    if not found:
        raise missed(exact.program, limits, request.goal, exact.fp32)
    return [point_of(exact, axis, solution) for solution in found]


def point_of(exact: Exact, axis: Axis, solution: Solution) -> Point:
    """The plan of a solution with its figures."""
    totals, plan = solution.totals, plan_of(exact, solution)
    return Point(axis, plan, totals["latency"] / 1e3, round(totals["size"]), decibels(totals["noise"]))


def ends(exact: Exact, axis: Axis, limits: Limits) -> tuple[Solution, Solution] | None:
    """The cheapest plan and the most accurate one; None where nothing keeps the limits."""
    cheapest, quietest = best(exact.program, axis, limits), best(exact.program, "noise", limits)
    return None if cheapest is None or quietest is None else (cheapest, quietest)


def _spread(exact: Exact, axis: Axis, limits: Limits, count: int, progress: Progress) -> list[Solution]:
    both = ends(exact, axis, limits)
    if both is None:
        return []
    found = _distinct(list(both), axis)
    settled: set[float] = set()  # where a gap begins in which there is no other plan
    while len(found) < count:
        gaps = [
            (_gap(left, right, found, axis), left, right)
            for left, right in itertools.pairwise(found)
            if left.totals[axis] not in settled and _wide(left, right, found, axis)
        ]
        if not gaps:
            break
        _, left, right = max(gaps, key=lambda gap: gap[0])
        middle = _middle(exact, axis, limits, left, right)
        if middle is None or middle.totals[axis] <= left.totals[axis] * (1 + 1e-9):
            settled.add(left.totals[axis])
            continue
        found = _distinct([*found, middle], axis)
        progress.advance()
    return found


def _middle(exact: Exact, axis: Axis, limits: Limits, left: Solution, right: Solution) -> Solution | None:
    """The quietest of a price halfway; where that half is empty, the cheapest of noise halfway."""
    price = math.sqrt(left.totals[axis] * right.totals[axis])
    found = best(exact.program, "noise", {**limits, axis: min(price, limits.get(axis, price))})
    if found is not None and found.totals[axis] > left.totals[axis] * (1 + 1e-9):
        return found
    noise = (left.totals["noise"] * right.totals["noise"]) ** 0.5 or left.totals["noise"] / 2
    between = best(exact.program, axis, {**limits, "noise": min(noise, limits.get("noise", noise))})
    return None if between is None or between.totals[axis] >= right.totals[axis] * (1 - 1e-9) else between


def _distinct(found: Sequence[Solution], axis: Axis) -> list[Solution]:
    """By price, without what another beats in price and noise."""
    kept: list[Solution] = []
    for solution in sorted(found, key=lambda s: (s.totals[axis], s.totals["noise"])):
        if not kept or solution.totals["noise"] < kept[-1].totals["noise"] * (1 - 1e-9):
            kept.append(solution)
    return kept


def _wide(left: Solution, right: Solution, found: Sequence[Solution], axis: Axis) -> bool:
    return _ratio(left, right, axis) > LEAST_STEP * _ratio(found[0], found[-1], axis)


def _gap(left: Solution, right: Solution, found: Sequence[Solution], axis: Axis) -> float:
    """How far apart two neighbours are, as a share of the frontier's width and height."""
    width = _ratio(found[0], found[-1], axis)
    height = _level(found[-1]) - _level(found[0])
    across = _ratio(left, right, axis) / (width or 1.0)
    return float(across + (_level(right) - _level(left)) / (height or 1.0))


def _ratio(left: Solution, right: Solution, axis: Axis) -> float:
    """Of prices, as a logarithm: twice as fast is as far from fast as from slow."""
    return math.log(right.totals[axis] / left.totals[axis]) if left.totals[axis] > 0 else 1.0


def _level(solution: Solution) -> float:
    return min(decibels(solution.totals["noise"]), CLEAR_DB)
