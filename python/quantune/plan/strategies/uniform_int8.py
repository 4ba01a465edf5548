"""uniform-int8: every layer that can be is integer, 8-bit weights, 8-bit activations."""

from __future__ import annotations

from quantune.graph.model import Layer
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.strategies.request import Request


def plan(request: Request) -> Plan:
    """Float is left only where there is no integer form."""
    layers = {layer.name: choice(request, layer) for layer in request.graph}
    return Plan(
        model=request.model,
        fingerprint=request.graph.fingerprint,
        strategy="uniform-int8",
        target=request.target,
        inputs={name: request.quantizations[name] for name in request.graph.inputs},
        layers=layers,
    )


def choice(request: Request, layer: Layer) -> LayerPlan:
    """One layer in int8, if it has an integer form."""
    output = request.quantizations[layer.name]
    if layer.kind == "opaque":
        operation = layer.attributes.get("operation", "its operation")
        return LayerPlan("float", output, reason=f"{operation} has no integer form")
    bits = 8 if layer.is_contraction else None
    reason = "uniform int8" if layer.is_contraction else f"{layer.kind} works on integers as they are"
    return LayerPlan("integer", output, bits, reason=reason)
