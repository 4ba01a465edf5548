"""v2 by size: the least predicted noise of all plans that are no larger than asked for.

The same local metrics and the same O(n) knapsack as in `v2`, which asks for time instead of size.
"""

from __future__ import annotations

from quantune.plan.knapsack import Option, cheapest
from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import counts, decided, room
from quantune.plan.strategies.offers import noise_factor, offers_of
from quantune.plan.strategies.request import Request
from quantune.sensitivity.metrics import decibels


def plan(request: Request, average: float) -> Plan:
    """A plan of at most `average` weight bits; needs `request.sensitivity`, prices, and a menu."""
    assert request.sensitivity is not None
    offers = {
        layer.name: found
        for layer in request.graph.contractions
        if (found := offers_of(request, layer)) is not None
    }
    weights, total = counts(request.graph), room(request.graph, average)
    factor = noise_factor(request.sensitivity.output_nsr, offers.values())
    items = {
        name: [
            Option(str(bits), found.noise(f"w{bits}a8", factor), bits * weights[name] / total)
            for bits in request.menu
        ]
        for name, found in offers.items()
    }
    unknown = dict.fromkeys(weights.keys() - offers.keys(), request.menu[-1])
    chosen = cheapest(items, 1.0 - sum(bits * weights[name] for name, bits in unknown.items()) / total)
    widths = unknown | {name: int(option.name) for name, option in chosen.items()}
    reasons = {
        name: f"{widths[name]}-bit weights: {option.price:.2g} of predicted noise, which is "
        f"{decibels(option.price):.1f} dB; the network's least at {average:g} bits on average"
        for name, option in chosen.items()
    }
    return decided(request, "v2-sized", widths, reasons)
