"""The clipping ranges that the searching observers try."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cost = Callable[[Floats, Floats], Floats]
"""Lower ends [N] and upper ends [N] → the cost of each range [N]."""

STEPS = 14
SMALLEST = 2.0**-7
"""The tightest clip tried, as a fraction of an end."""


def search(lo: float, hi: float, cost: Cost, rounds: int = 2) -> tuple[float, float]:
    """The cheapest (lo * f, hi * g) with f, g in (0, 1]: a geometric grid, then finer grids around its best.

    An end at 0 stays there. The unclipped range is always among the candidates and wins ties.
    """
    step = SMALLEST ** (1 / (STEPS - 1))
    factors = step ** np.arange(STEPS)
    best = (1.0, 1.0)
    lowest = np.inf
    below, above = factors, factors
    for _ in range(rounds + 1):
        f, g = np.meshgrid(below if lo < 0 else np.ones(1), above if hi > 0 else np.ones(1))
        costs = cost(lo * f.ravel(), hi * g.ravel())
        index = int(np.argmin(costs))
        if costs[index] < lowest:
            lowest, best = costs[index], (float(f.flat[index]), float(g.flat[index]))
        fine = step ** np.linspace(-1, 1, 9)
        below, above = np.minimum(best[0] * fine, 1.0), np.minimum(best[1] * fine, 1.0)
        step = step**0.25
    return lo * best[0], hi * best[1]
