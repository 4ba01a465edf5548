"""fp32: nothing is quantized; the ranges are recorded, so that a layer can be flipped by hand."""

from __future__ import annotations

import dataclasses

from quantune.plan.schema import Plan
from quantune.plan.strategies import uniform
from quantune.plan.strategies.request import Request


def plan(request: Request) -> Plan:
    """Every layer float."""
    base = uniform.plan(request)
    layers = {
        name: dataclasses.replace(choice, precision="float", reason="strategy fp32")
        for name, choice in base.layers.items()
    }
    return dataclasses.replace(base, strategy="fp32", layers=layers)
