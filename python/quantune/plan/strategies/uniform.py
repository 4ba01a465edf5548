"""uniform-int8, -w7, …, -w3: all that can be is integer, weights of one width, 8-bit activations."""

from __future__ import annotations

from quantune.graph.model import Layer
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.strategies.request import Request

WEIGHT_BITS = {"uniform-int8": 8} | {f"uniform-w{bits}": bits for bits in (7, 6, 5, 4, 3)}
"""Strategy → bits of every weight."""


def plan(request: Request, strategy: str = "uniform-int8") -> Plan:
    """Float is left only where there is no integer form."""
    bits = WEIGHT_BITS[strategy]
    return Plan(
        model=request.model,
        fingerprint=request.graph.fingerprint,
        strategy=strategy,
        target=request.target,
        inputs={name: request.quantizations[name] for name in request.graph.inputs},
        layers={layer.name: choice(request, layer, bits) for layer in request.graph},
    )


def choice(request: Request, layer: Layer, bits: int) -> LayerPlan:
    """One layer in integers, if it has an integer form."""
    output = request.quantizations[layer.name]
    if layer.kind == "opaque":
        operation = layer.attributes.get("operation", "its operation")
        return LayerPlan("float", output, reason=f"{operation} has no integer form")
    if not layer.is_contraction:
        return LayerPlan("integer", output, reason=f"{layer.kind} works on integers as they are")
    reason = "uniform int8" if bits == 8 else f"uniform {bits}-bit weights"
    return LayerPlan("integer", output, bits, reason=reason)
