"""The best plan within limits, by SciPy's HiGHS (Q. Huangfu, J. A. J. Hall, Mathematical Programming
Computation 10, 2018): branch and bound, proven optimal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from quantune.errors import QuantuneError
from quantune.plan.budget import Measure
from quantune.plan.program import Assignment, Program
from quantune.silence import silenced

Limits = Mapping[Measure, float]
TOLERANCE = 1e-6
"""Share of a limit by which a plan may miss it: HiGHS' own, of f64."""
GAP = 1e-7  # relative, between what was found and the proof
SECONDS = 30.0
UNITS = 1e3
"""The objective's, of a typical plan: HiGHS also stops at an absolute gap of 1e-6."""
OPTIMAL, TIME_OUT, INFEASIBLE = 0, 1, 2
NOISE_MARGIN = 10**0.01
"""Plans within 0.1 dB of each other are equally quiet: no prediction is better than that."""
AFTER: dict[Measure, tuple[Measure, ...]] = {
    "noise": ("latency", "noise", "size"),
    "latency": ("noise", "size"),
    "size": ("noise", "latency"),
    "bits": ("noise", "latency"),
}
"""What decides between plans that are equally good."""


@dataclass(frozen=True)
class Solution:
    """`gap`: how much better the objective could be at most, relatively; 0 but for a time-out."""

    assignment: Assignment
    totals: Mapping[Measure, float]
    gap: float = 0.0


def best(
    program: Program, objective: Measure, limits: Limits, margin: float = NOISE_MARGIN
) -> Solution | None:
    """The plan of the least `objective` that keeps all limits; None where there is none.

    Of equally good ones the least of AFTER, in turn: where noise is the objective, the fastest of those
    within `margin` times the least. Raises QuantuneError when HiGHS gives up.
    """
    found = _solved(program, objective, limits)
    if found is None:
        return None
    reached = found.totals[objective] * (margin if objective == "noise" else 1.0)
    held = {**limits, objective: min(limits.get(objective, math.inf), reached)}
    for measure in AFTER[objective]:
        better = _solved(program, measure, held)
        if better is None:
            break
        found = Solution(better.assignment, better.totals, found.gap)
        held[measure] = min(held.get(measure, math.inf), found.totals[measure])
    return found


def _solved(program: Program, objective: Measure, limits: Limits) -> Solution | None:
    """Limits hold to TOLERANCE; what rounding the variables lets through is taken off and solved again."""
    tightened = dict(limits)
    for _ in range(5):
        found = _run(program, objective, tightened)
        over = (
            {} if found is None else {m: found.totals[m] for m in limits if not _keeps(found, m, limits[m])}
        )
        if found is None or not over:
            return found
        for measure, total in over.items():
            tightened[measure] -= 2 * (total - limits[measure])
    return None


def _keeps(found: Solution, measure: Measure, limit: float) -> bool:
    return found.totals[measure] <= limit + TOLERANCE * abs(limit) + 1e-30


def _run(program: Program, objective: Measure, limits: Limits) -> Solution | None:
    matrix, constants = program.matrix()
    upper = _permitted(program, limits)
    rows = [LinearConstraint(matrix, -constants, np.inf)] if len(constants) else []
    rows.append(_one_each(program))
    for measure, limit in limits.items():
        if limit > 0:
            rows.append(LinearConstraint(program.vector(measure)[None] / limit, -np.inf, 1.0))
    if any(not any(upper[program.index[n, c.precision]] for c in cs) for n, cs in program.choices.items()):
        return None
    price = program.vector(objective)
    typical = sum(min(price[program.index[n, c.precision]] for c in cs) for n, cs in program.choices.items())
    with silenced():  # HiGHS prints a line of debugging now and then
        result = milp(
            price * (UNITS / (typical or price.max() or 1.0)),
            integrality=np.array(program.variables, np.uint8),
            bounds=Bounds(0.0, upper),
            constraints=rows,
            options={"mip_rel_gap": GAP, "time_limit": SECONDS},
        )
    if result.status == INFEASIBLE:
        return None
    if result.x is None or result.status not in (OPTIMAL, TIME_OUT):
        raise QuantuneError(f"the solver gave up on the plan ({result.message}); loosen the budgets")
    assignment = {
        name: max(choices, key=lambda c: result.x[program.index[name, c.precision]]).precision
        for name, choices in program.choices.items()
    }
    gap = float(result.mip_gap) if result.status == TIME_OUT else 0.0
    return Solution(assignment, program.total(assignment), gap)


def _permitted(program: Program, limits: Limits) -> NDArray[np.float64]:
    """Upper bounds: 0 for what is beyond a limit all by itself, which also keeps the rows well scaled."""
    upper = np.ones(len(program.variables))
    for measure, limit in limits.items():
        upper[program.vector(measure) > limit * (1 + TOLERANCE) + 1e-30] = 0.0
    return upper


def _one_each(program: Program) -> LinearConstraint:
    matrix = np.zeros((len(program.choices), len(program.variables)))
    for row, (name, choices) in enumerate(program.choices.items()):
        for choice in choices:
            matrix[row, program.index[name, choice.precision]] = 1.0
    return LinearConstraint(matrix, 1.0, 1.0)
