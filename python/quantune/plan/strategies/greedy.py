"""greedy: from 8 bits everywhere, one bit at a time off the layer whose weights suffer least for it.

What a layer suffers is what the step adds to its weights' own noise-to-signal ratio, for each bit of size
that it saves: the usual heuristic, which knows nothing of how errors reach the output.
"""

from __future__ import annotations

import heapq

from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import MENU, counts, decided, room, used
from quantune.plan.strategies.request import Request


def plan(request: Request, average: float) -> Plan:
    """A plan of at most `average` weight bits; needs `request.sensitivity`."""
    assert request.sensitivity is not None
    weights, total = counts(request.graph), room(request.graph, average)
    noise = {name: request.sensitivity.layers[name].weight_nsr for name in weights}
    widths = dict.fromkeys(weights, MENU[0])

    def step(name: str) -> tuple[float, str]:
        bits = widths[name]
        return (noise[name][bits - 1] - noise[name][bits]) / weights[name], name

    queue = [step(name) for name in weights]
    heapq.heapify(queue)
    reasons = {}
    while used(request.graph, widths) > total:
        added, name = heapq.heappop(queue)
        widths[name] -= 1
        reasons[name] = (
            f"{widths[name]}-bit weights: the last bit taken added {added * weights[name]:.2g} to its "
            "weights' noise-to-signal ratio, the least for its size"
        )
        if widths[name] > MENU[-1]:
            heapq.heappush(queue, step(name))
    return decided(request, "greedy", widths, reasons)
