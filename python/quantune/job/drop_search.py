"""The fastest (or smallest) plan that loses no more than so many points: bisection along the frontier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.job.drops import Drop, measured_drop
from quantune.job.job import Job
from quantune.plan.budget import Goal
from quantune.plan.frontier import CLEAR_DB, Axis, Point, ends, point_of
from quantune.plan.schema import Plan
from quantune.plan.solve import Limits, Solution, best
from quantune.plan.strategies.milp import Exact, exact_of
from quantune.plan.strategies.misses import missed
from quantune.sensitivity.metrics import decibels

MOST_CANDIDATES = 8
NEAR_DB = 0.25
"""Bisection ends where candidates are this close: the prediction is no better."""


@dataclass(frozen=True)
class Tried:
    """A candidate and what it was found to lose."""

    point: Point
    drop: Drop


def plan_within_drop(
    job: Job, menu: Sequence[int] | None, goal: Goal, points: float, dataset: Dataset
) -> Plan:
    """The cheapest plan by `goal.minimize` within all its budgets that loses at most `points` on `dataset`.

    Every candidate is compiled and measured, the one returned too. Predicted noise is taken to order plans by
    accuracy: a cheaper plan that happens to lose less than a quieter one may be missed.
    Raises QuantuneError where no plan keeps the budgets, or the most accurate of them loses too much.
    """
    axis: Axis = "size" if goal.minimize == "size" else "latency"
    exact = exact_of(job.request(menu, goal=goal))
    limits = exact.limits(goal)
    both = ends(exact, axis, limits)
    if both is None:
        raise missed(exact.program, limits, goal, exact.fp32)
    tried: list[Tried] = []

    def made(solution: Solution) -> Point:
        point = point_of(exact, axis, solution)
        return dataclasses.replace(point, plan=job.finished(point.plan))

    def fits(solution: Solution) -> bool:
        point = made(solution)
        job.progress.start(
            f"candidate {len(tried) + 1}: {point.milliseconds:.2f} ms, {point.bytes / 1e3:,.0f} kB, "
            f"{point.sqnr_db:.1f} dB predicted"
        )
        job.progress.finish()
        tried.append(Tried(point, measured_drop(job, point.plan, dataset)))
        return tried[-1].drop.points <= points + 1e-9

    chosen = _bisected(exact, axis, limits, both, fits)
    if chosen is None:
        least = min(tried, key=lambda t: t.drop.points)
        raise QuantuneError(
            f"no plan within the budgets loses at most {points:g} points: the best of {len(tried)} measured "
            f"loses {least.drop.points:.2f} ({least.drop.measures}, {least.drop.images} images) and takes "
            f"{least.point.milliseconds:.3g} ms and {least.point.bytes / 1e3:,.1f} kB; allow more"
        )
    return _reported(made(chosen), goal, points, tried)


def _bisected(
    exact: Exact,
    axis: Axis,
    limits: Limits,
    ends: tuple[Solution, Solution],
    fits: Callable[[Solution], bool],
) -> Solution | None:
    """The cheapest that `fits`, between the cheapest plan of all and the quietest; None where none does."""
    cheapest, quietest = ends
    if fits(cheapest):
        return cheapest
    low, high, good = _level(cheapest), _level(quietest), None
    measured = 1
    while high - low > NEAR_DB and measured < MOST_CANDIDATES:
        middle = (low + high) / 2
        noise = min(10 ** (-middle / 10), limits.get("noise", math.inf))
        found = best(exact.program, axis, {**limits, "noise": noise})
        if found is None or found.assignment == (good or quietest).assignment:
            high = middle
            continue
        measured += 1
        if fits(found):
            good, high = found, middle
        else:
            low = max(middle, _level(found))
    return good or (quietest if fits(quietest) else None)


def _level(solution: Solution) -> float:
    return min(decibels(solution.totals["noise"]), CLEAR_DB)


def _reported(found: Point, goal: Goal, points: float, tried: Sequence[Tried]) -> Plan:
    """The plan, with what was asked for, what was measured, and the candidates."""
    drop = next(t.drop for t in tried if t.point.plan.layers == found.plan.layers)
    report = found.plan.report | {
        "budgets": [budget.text for budget in goal.budgets],
        "minimized": goal.minimize,
        "max_drop": points,
        "drop": dataclasses.asdict(drop) | {"measures": drop.measures},
        "candidates": [
            {
                "predicted_ms": t.point.milliseconds,
                "predicted_bytes": t.point.bytes,
                "predicted_sqnr_db": t.point.sqnr_db,
                "drop": t.drop.points,
            }
            for t in tried
        ],
    }
    return dataclasses.replace(found.plan, report=report)
