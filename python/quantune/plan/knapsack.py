"""One option for each item, the cheapest of all combinations that stay within a budget of noise.

A multiple-choice knapsack, by Lagrangian relaxation (H. Everett, "Generalized Lagrange multiplier method",
Operations Research 11, 1963): each item takes its least price + multiplier x noise, and the multiplier is
bisected. Linear in the number of items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HALVINGS = 50
LEAST, LARGEST = 1e-9, 1e12


@dataclass(frozen=True)
class Option:
    """What an item may take: price and noise in any units, the same for all items."""

    name: str
    price: float
    noise: float


def cheapest(items: Mapping[str, Sequence[Option]], budget: float) -> dict[str, Option]:
    """Item → option; of equal ones the first. Where nothing fits, every item's least noise."""
    best = {name: min(options, key=lambda o: (o.noise, o.price)) for name, options in items.items()}
    free = _by_price(items, 0.0)
    if _noise(free) <= budget:
        return free
    low, high = LEAST, LARGEST
    for _ in range(HALVINGS):
        multiplier = (low * high) ** 0.5
        chosen = _by_price(items, multiplier)
        if _noise(chosen) <= budget:
            high, best = multiplier, chosen
        else:
            low = multiplier
    return _filled(items, best, budget)


def _by_price(items: Mapping[str, Sequence[Option]], multiplier: float) -> dict[str, Option]:
    return {
        name: min(options, key=lambda o: o.price + multiplier * o.noise) for name, options in items.items()
    }


def _filled(
    items: Mapping[str, Sequence[Option]], chosen: dict[str, Option], budget: float
) -> dict[str, Option]:
    """What the multiplier's coarse steps left of the budget, spent where it saves most."""
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
