"""Executes a plan over a whole network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune import numerics
from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.plan.boundaries import integer_values, is_integer
from quantune.plan.schema import LayerPlan, Plan, Quantization
from quantune.reference.layers import float_layer, integer_layer

Array = NDArray[Any]
Float = NDArray[np.float32]


@dataclass
class Trace:
    """Every value of one execution.

    Attributes:
        integers: u8, for every value in `integer_values(graph, plan)`.
        floats: f32, for every value that something reads in f32, or that leaves its layer in f32.
        outputs: the network's outputs in f32.
    """

    integers: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    floats: dict[str, Float] = field(default_factory=dict)
    outputs: dict[str, Float] = field(default_factory=dict)


def execute(graph: Graph, plan: Plan, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Value name → array in the form its producer delivers (u8 or f32); network outputs always in f32.

    Raises what `trace` raises.
    """
    done = trace(graph, plan, inputs)
    values: dict[str, Array] = {**done.integers, **done.floats}
    for layer in graph:
        if is_integer(layer, plan) and layer.name in done.integers:
            values[layer.name] = done.integers[layer.name]
    return {**values, **done.outputs}


def trace(graph: Graph, plan: Plan, inputs: Mapping[str, Array]) -> Trace:
    """Executes `plan` on f32 NHWC inputs.

    Raises QuantuneError for inputs that do not fit, PlanError for a plan that lacks a quantization,
    UnsupportedError for an opaque layer.
    """
    stored = integer_values(graph, plan)
    done = Trace()
    for name, shape in graph.inputs.items():
        _deliver(done, name, _checked(inputs, name, shape), stored)
    for layer in graph:
        choice = plan.layers.get(layer.name)
        if choice is not None and choice.precision == "integer":
            sources = [stored[name] for name in layer.inputs]
            arrays: list[Array] = [done.integers[name] for name in layer.inputs]
            value = execute_layer(layer, choice, arrays, sources, stored.get(layer.name))
        else:
            value = float_layer(layer, [_as_float(done, name, stored) for name in layer.inputs])
        _deliver(done, layer.name, value, stored)
    done.outputs = {name: _as_float(done, name, stored) for name in graph.outputs}
    return done


def execute_layer(
    layer: Layer,
    choice: LayerPlan | None,
    inputs: Sequence[Array],
    quantizations: Sequence[Quantization | None] = (),
    output: Quantization | None = None,
) -> Array:
    """One layer alone, for tests of a group given its inputs.

    Args:
        choice: the layer's entry in the plan; None or a float one executes in f32.
        inputs: u8 for an integer layer (a fused residual may be f32), f32 for a float one.
        quantizations: `integer_values(graph, plan)[name]` of each input of an integer layer; None for f32.
        output: `integer_values(graph, plan).get(layer.name)`; None delivers f32.
    """
    if choice is None or choice.precision == "float":
        return float_layer(layer, inputs)
    return integer_layer(layer, choice, inputs, quantizations, output)


def execute_float(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Float]:
    """Every value of the network in f32. Raises UnsupportedError naming an opaque layer."""
    values = {name: _checked(inputs, name, shape) for name, shape in graph.inputs.items()}
    for layer in graph:
        values[layer.name] = float_layer(layer, [values[name] for name in layer.inputs])
    return values


def _checked(inputs: Mapping[str, Array], name: str, shape: tuple[int, ...]) -> Float:
    if name not in inputs or tuple(inputs[name].shape) != tuple(shape):
        found = "nothing" if name not in inputs else f"shape {tuple(inputs[name].shape)}"
        raise QuantuneError(
            f"the network's input {name!r} takes f32 of shape {tuple(shape)} (NHWC), not {found}"
        )
    return np.asarray(inputs[name], dtype=np.float32)


def _deliver(done: Trace, name: str, value: Array, stored: Mapping[str, Quantization]) -> None:
    if value.dtype == np.uint8:
        done.integers[name] = value
        return
    done.floats[name] = value
    if name in stored:
        done.integers[name] = numerics.quantize(value, stored[name])


def _as_float(done: Trace, name: str, stored: Mapping[str, Quantization]) -> Float:
    if name not in done.floats:
        done.floats[name] = numerics.dequantize(done.integers[name], stored[name])
    return done.floats[name]
