"""random: every layer's width is drawn, then some are drawn again until the plan has its size.

The baseline that a choice has to beat to be one.
"""

from __future__ import annotations

import numpy as np

from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import MENU, counts, decided, room, used
from quantune.plan.strategies.request import Request


def plan(request: Request, average: float, seed: int = 0) -> Plan:
    """A plan of at most `average` weight bits; the same on every run with the same seed."""
    generator = np.random.default_rng(seed)
    weights, total = counts(request.graph), room(request.graph, average)
    names = list(weights)
    widths = {name: int(generator.choice(MENU)) for name in names}
    while (over := used(request.graph, widths) - total) > 0:
        name = names[generator.integers(len(names))]
        if widths[name] > MENU[-1]:
            widths[name] -= 1
    for name in generator.permutation(names):  # what the last draw freed is shared out again
        more = min(MENU[0] - widths[name], -over // weights[name])
        widths[name] += more
        over += more * weights[name]
    reasons = {name: f"{bits}-bit weights, drawn with seed {seed}" for name, bits in widths.items()}
    return decided(request, f"random-{seed}", widths, reasons)
