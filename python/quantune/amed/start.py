"""Where the chain starts: the better of the post-training allocations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from quantune.amed.budget import Costs, first_state, within
from quantune.amed.chain import State
from quantune.amed.reward import Judge
from quantune.errors import QuantuneError
from quantune.job.job import Job
from quantune.plan.budget import Budget, Goal


def best_start(job: Job, judge: Judge) -> State:
    """Of the allocations that post-training metrics suggest, the one that pictures held out reward most.

    Raises QuantuneError where nothing keeps the budgets.
    """
    costs, budgets, menu = judge.costs, judge.budgets, judge.settings.menu
    found = dict.fromkeys([*_quietest(job, costs, budgets, menu), *_planned(job, costs, budgets, menu)])
    scores = {state: judge.score(state).reward for state in found}
    best = max(scores, key=lambda state: scores[state], default=None)
    if best is None or not math.isfinite(scores[best]):
        raise QuantuneError(
            f"{' and '.join(f'--budget {budget.text}' for budget in budgets)}: each can be kept, but no "
            "allocation was found that keeps all; permit more of one"
        )
    return best


def _quietest(job: Job, costs: Costs, budgets: Sequence[Budget], menu: Sequence[int]) -> list[State]:
    """Of least weight noise within one budget, those that keep the others too; and the least width of each
    layer in any of them, which keeps all."""
    noise = _noise(job)
    states = [first_state(costs, budget, menu, noise) for budget in budgets]
    states.append(tuple(min(bits) for bits in zip(*states, strict=True)))
    return [state for state in states if within(costs, budgets, state)]


def _planned(job: Job, costs: Costs, budgets: Sequence[Budget], menu: Sequence[int]) -> list[State]:
    """What the integer program decides, if it leaves no layer in float."""
    if len(menu) < 2:
        return []
    try:
        plan = job.plan("milp", tuple(sorted(menu, reverse=True)), goal=Goal(tuple(budgets)))
    except QuantuneError:  # it counts the borders of float islands, which may not fit
        return []
    chosen = [plan.layers[name] for name in costs.layers]
    state = tuple(layer.weight_bits or 0 for layer in chosen if layer.precision == "integer")
    fits = len(state) == len(chosen) and set(state) <= set(menu) and within(costs, budgets, state)
    return [state] if fits else []


def _noise(job: Job) -> Mapping[str, Mapping[int, float]]:
    """Layer → bits → noise-to-signal ratio of its weights, by the post-training metrics."""
    found = job.sensitivity(job.statistics())
    return {name: layer.weight_nsr for name, layer in found.layers.items() if layer.weight_nsr}
