"""oracle: widths by what quantizing each layer alone does to the labelled loss.

The expensive truth: a run of the network for every layer and width. Of all plans of a size the one whose
summed losses are least, by the knapsack that v2 uses too.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantune.errors import QuantuneError
from quantune.plan.knapsack import Option, cheapest
from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import MENU, counts, decided, room
from quantune.plan.strategies.request import Request

Losses = Mapping[str, Mapping[int, float]]
"""Contraction → bits → by how much the loss grows when it alone has so few."""


def plan(request: Request, average: float, losses: Losses) -> Plan:
    """A plan of at most `average` weight bits; raises QuantuneError when the losses lack a layer."""
    weights = counts(request.graph)
    total = room(request.graph, average)
    if missing := [name for name in weights if name not in losses]:
        raise QuantuneError(f"the oracle has no losses of layer {missing[0]!r}: measure them anew")
    grown = {name: _monotone(losses[name]) for name in weights}
    items = {
        name: [
            Option(str(bits), grown[name][bits], bits * count / total) for bits in sorted(grown[name])[::-1]
        ]
        for name, count in weights.items()
    }
    chosen = cheapest(items, 1.0)
    widths = {name: int(option.name) for name, option in chosen.items()}
    reasons = {
        name: f"{bits}-bit weights: alone they raise the loss by {grown[name][bits]:.2g}"
        for name, bits in widths.items()
    }
    return decided(request, "oracle", widths, reasons)


def _monotone(losses: Mapping[int, float]) -> dict[int, float]:
    """Widths of the menu that were measured; a loss below that of a wider width is noise."""
    found: dict[int, float] = {}
    worst = 0.0
    for bits in MENU:
        if bits in losses:
            worst = found[bits] = max(worst, losses[bits])
    return found
