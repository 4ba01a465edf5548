"""One option for each item, the cheapest of all combinations that stay within a budget of noise.

A multiple-choice knapsack by dynamic programming (R. Bellman, "Dynamic Programming", 1957) over the budget in
STEPS equal steps: an item's noise beyond its least is rounded up to whole steps, so the budget holds whatever
the rounding, which takes no more than half a step an item on average. What that leaves of the budget is spent
where it saves most. Linear in the number of items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 1 << 14
ROUNDING = 1e-9
"""Share of a step that adding up floats may be off."""


@dataclass(frozen=True)
class Option:
    """What an item may take: price and noise in any units, the same for all items."""

    name: str
    price: float
    noise: float


def cheapest(items: Mapping[str, Sequence[Option]], budget: float) -> dict[str, Option]:
    """Item → option; of equal ones the first. Where nothing fits, every item's least noise."""
    quietest = {name: min(options, key=lambda o: (o.noise, o.price)) for name, options in items.items()}
    free = {name: min(options, key=lambda o: o.price) for name, options in items.items()}
    if _noise(free) <= budget:
        return free
    room = budget - _noise(quietest)
    if room < 0 or not items:
        return quietest
    return _filled(items, _by_steps(items, quietest, room / STEPS), budget)


def _by_steps(
    items: Mapping[str, Sequence[Option]], quietest: Mapping[str, Option], step: float
) -> dict[str, Option]:
    """The cheapest combination when noise is counted in steps, of which there are STEPS."""
    prices = np.zeros(STEPS + 1)  # by steps that may be used
    choices: list[NDArray[np.int16]] = []
    for name, options in items.items():
        best, choice = np.full(STEPS + 1, np.inf), np.zeros(STEPS + 1, np.int16)
        for index, option in enumerate(options):
            taken = _steps(option.noise - quietest[name].noise, step)
            if taken > STEPS:
                continue
            total = prices[: STEPS + 1 - taken] + option.price
            better = total < best[taken:]
            best[taken:][better] = total[better]
            choice[taken:][better] = index
        prices = best
        choices.append(choice)
    left, chosen = STEPS, {}
    for (name, options), choice in zip(reversed(list(items.items())), reversed(choices), strict=True):
        chosen[name] = options[choice[left]]
        left -= _steps(chosen[name].noise - quietest[name].noise, step)
    return {name: chosen[name] for name in items}


def _steps(excess: float, step: float) -> int:
    """Whole steps, rounded up; STEPS + 1 for whatever is beyond all of them."""
    if excess <= 0:
        return 0
    return STEPS + 1 if excess > STEPS * step else math.ceil(excess / step - ROUNDING)


def _filled(
    items: Mapping[str, Sequence[Option]], chosen: dict[str, Option], budget: float
) -> dict[str, Option]:
    """What rounding left of the budget, spent where it saves most."""
    left = budget - _noise(chosen)
    swaps = [
        (chosen[name].price - option.price, name, option)
        for name, options in items.items()
        for option in options
        if option.price < chosen[name].price
    ]
    for _, name, option in sorted(swaps, key=lambda swap: -swap[0]):
        extra = option.noise - chosen[name].noise
        if extra <= left and option.price < chosen[name].price:
            left -= extra
            chosen = chosen | {name: option}
    return chosen


def _noise(chosen: Mapping[str, Option]) -> float:
    return sum(option.noise for option in chosen.values())
