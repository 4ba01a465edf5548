"""first-last: the first and the last layer with weights stay float, all others have one width."""

from __future__ import annotations

import dataclasses

from quantune.plan.schema import Plan
from quantune.plan.strategies.allocation import average_bits, counts, decided
from quantune.plan.strategies.request import Request


def plan(request: Request, bits: int) -> Plan:
    """The usual rule of thumb: what touches pictures and classes is spared."""
    names = list(counts(request.graph))
    widths = dict.fromkeys(names, bits)
    found = decided(request, f"first-last-w{bits}", widths, {})
    layers = dict(found.layers)
    for name, place in {names[-1]: "last", names[0]: "first"}.items():
        layers[name] = dataclasses.replace(
            layers[name], precision="float", reason=f"float: the {place} layer with weights"
        )
    found = dataclasses.replace(found, layers=layers)
    return dataclasses.replace(found, report={"average_weight_bits": average_bits(request.graph, found)})
