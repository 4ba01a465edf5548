"""Which values are stored as integers, and where a network crosses between integers and f32."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from quantune.errors import PlanError
from quantune.graph.model import Graph, Layer
from quantune.numerics.scales.weights import snap_scale
from quantune.plan.schema import Plan, Quantization

OUTPUT = "<output>"
"""Stands for the caller of the network where a boundary's consumer is not a layer."""


class Boundary(NamedTuple):
    """One crossing: `value` is converted because `consumer`, the first such reader, needs the other form."""

    value: str
    consumer: str
    kind: Literal["quantize", "dequantize"]


def is_integer(layer: Layer, plan: Plan) -> bool:
    """Whether the plan has the layer in integers; a layer that the plan does not mention stays float."""
    choice = plan.layers.get(layer.name)
    return choice is not None and choice.precision == "integer"


def integer_values(graph: Graph, plan: Plan) -> dict[str, Quantization]:
    """The values that exist in integer form: those that at least one integer layer reads.

    The output of an integer layer that is not among them leaves its epilogue in f32. A network input or a
    float layer's output among them is quantized once at the edge; its float readers read the f32. Integer
    layers that only move or select values pass their input's quantization on; all others take the plan's.
    Scales are snapped, so that a scale edited by hand means the same here and in the text of the module.

    Raises PlanError naming the layer whose quantization the plan lacks, or that cannot be integer.
    """
    stored: dict[str, Quantization] = {}
    consumers = graph.consumers()
    for value in [*graph.inputs, *(layer.name for layer in graph)]:
        if value in graph and is_integer(graph.layer(value), plan) and graph.layer(value).kind == "opaque":
            raise PlanError(
                f"layer {value} cannot be integer: its operation is not supported; set it to float"
            )
        reader = next((layer.name for layer in consumers[value] if is_integer(layer, plan)), None)
        if reader is not None:
            found = _quantization(graph, plan, value, reader, stored)
            stored[value] = replace(found, scale=snap_scale(found.scale))
    return stored


def boundaries(graph: Graph, plan: Plan) -> list[Boundary]:
    """Every crossing, in execution order: at most one quantize and one dequantize a value.

    A dequantize of a value that is not in `integer_values` costs no pass of its own: the epilogue emits f32.
    """
    found: list[Boundary] = []
    stored = integer_values(graph, plan)
    consumers = graph.consumers()
    for value in [*graph.inputs, *(layer.name for layer in graph)]:
        from_integer = value in graph and is_integer(graph.layer(value), plan)
        readers = [(layer.name, is_integer(layer, plan)) for layer in consumers[value]]
        readers += [(OUTPUT, False)] if value in graph.outputs else []
        crossing = next((name for name, integer in readers if integer != from_integer), None)
        if crossing is not None:
            found.append(Boundary(value, crossing, "dequantize" if from_integer else "quantize"))
    assert all(kind == "dequantize" or value in stored for value, _, kind in found)
    return found


def _quantization(
    graph: Graph, plan: Plan, value: str, reader: str, stored: dict[str, Quantization]
) -> Quantization:
    if value in graph.inputs:
        if value in plan.inputs:
            return plan.inputs[value]
        raise PlanError(
            f"the plan has no quantization for the network's input {value!r}, which {reader} reads"
        )
    layer = graph.layer(value)
    sources = (
        [stored[name] for name in layer.inputs] if is_integer(layer, plan) and layer.is_transparent else []
    )
    if sources and layer.kind != "concat":
        return sources[0]
    choice = plan.layers.get(value)
    if choice is not None and choice.output is not None:
        return choice.output
    if sources and all(source == sources[0] for source in sources):
        return sources[0]
    raise PlanError(
        f"layer {value} has no output quantization in the plan, but {reader} reads it as integers"
    )
