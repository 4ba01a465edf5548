"""What strategies that share out bits have in common: how large a plan is, and plans of a given size.

The size of a plan is its average weight bits: the sum over contractions of bits x weights over the number of
weights; 32 bits count for a float layer. Activations have 8 bits throughout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from quantune.errors import QuantuneError
from quantune.graph.model import Graph
from quantune.plan.schema import Plan
from quantune.plan.strategies import uniform
from quantune.plan.strategies.request import Request

MENU = (8, 7, 6, 5, 4, 3, 2)
"""Weight bits that a layer may get, widest first."""
FLOAT_BITS = 32
Widths = dict[str, int]
"""Contraction → bits of its weights."""


def counts(graph: Graph) -> dict[str, int]:
    """Contraction → how many weights it has."""
    return {layer.name: layer.weight_count for layer in graph.contractions}


def average_bits(graph: Graph, plan: Plan) -> float:
    """The size of a plan."""
    weights = counts(graph)
    total = 0
    for name, count in weights.items():
        choice = plan.layers[name]
        is_float = choice.precision == "float" or choice.weight_bits is None
        total += count * (FLOAT_BITS if is_float else choice.weight_bits or 0)
    return total / max(1, sum(weights.values()))


def room(graph: Graph, average: float) -> int:
    """How many bits all weights may have together; raises QuantuneError for an average off the menu."""
    if not MENU[-1] <= average <= MENU[0]:
        raise QuantuneError(
            f"an average of {average:g} weight bits cannot be had; give {MENU[-1]} to {MENU[0]}"
        )
    return int(average * sum(counts(graph).values()) + 1e-6)


def used(graph: Graph, widths: Mapping[str, int]) -> int:
    """How many bits all weights have together."""
    return sum(count * widths[name] for name, count in counts(graph).items())


def raised(graph: Graph, order: Sequence[str], average: float) -> Widths:
    """The widest uniform width below `average`, and of the rest as much as fits for the first of `order`.

    Layers take 8 bits in turn; a layer for which 8 do not fit takes what does.
    """
    weights, left = counts(graph), room(graph, average)
    widths = dict.fromkeys(weights, max(bits for bits in MENU if bits <= average))
    left -= used(graph, widths)
    for name in order:
        more = min(MENU[0] - widths[name], left // weights[name])
        widths[name] += more
        left -= more * weights[name]
    return widths


def decided(request: Request, strategy: str, widths: Mapping[str, int], reasons: Mapping[str, str]) -> Plan:
    """All in integers with these widths; a layer without a reason of its own says just its width."""
    base = uniform.plan(request)
    layers = dict(base.layers)
    for layer in request.graph.contractions:
        choice = uniform.choice(request, layer, widths[layer.name])
        reason = reasons.get(layer.name, f"{widths[layer.name]}-bit weights")
        layers[layer.name] = dataclasses.replace(choice, reason=reason)
    found = dataclasses.replace(base, strategy=strategy, layers=layers)
    report = {"average_weight_bits": average_bits(request.graph, found)}
    return dataclasses.replace(found, report=report)
