"""What tests of bit-exactness share: plans of mixed widths, compiled networks, comparisons of layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend.compiler import compile_module
from quantune.graph.model import Graph
from quantune.ingress.model import Model
from quantune.job.modules import INSTRUMENTED_FLAGS, lowered, quantizing
from quantune.numerics import dequantize, quantization_from_range, quantize
from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.instrument import Instrument
from quantune.plan.boundaries import integer_values
from quantune.plan.schema import LayerPlan, Plan
from quantune.reference import execute_float, execute_layer
from quantune.targets import Target

Array = NDArray[Any]
Ranges = dict[str, tuple[float, float]]

CHEAP: tuple[str, ...] = ()
"""No optional flags: half the compile time. `test_groups` shows that flags change no bit."""
WEIGHT_BITS = (8, 6, 4, 7, 5)


@dataclass(frozen=True)
class Network:
    """A zoo model with the ranges of its values on two images of noise."""

    model: Model
    ranges: Ranges

    @property
    def graph(self) -> Graph:
        return self.model.graph


def ranges(graph: Graph, images: Sequence[Array]) -> Ranges:
    """(least, largest) of every value over `images`, by the reference's float run."""
    found: Ranges = {}
    for image in images:
        for name, value in {"input": image, **execute_float(graph, {"input": image})}.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def images(shape: Sequence[int]) -> list[Array]:
    """Calibrated noise, noise that saturates most values, black, and a constant far outside every range."""
    random = np.random.default_rng(7)
    noise = [random.standard_normal(shape).astype(np.float32) for _ in range(2)]
    return [noise[0], 8 * noise[1], np.zeros(shape, np.float32), np.full(shape, 50, np.float32)]


def mixed_plan(network: Network, floats: Collection[str] = ()) -> Plan:
    """Weights of 8, 6, 4, 7, 5 bits in turn; every third value has 7 bits; `floats` stay f32."""
    graph = network.graph
    stored = {
        name: quantization_from_range(*limits, 7 if index % 3 == 2 else 8)
        for index, (name, limits) in enumerate(network.ranges.items())
    }
    bits = {
        layer.name: WEIGHT_BITS[index % len(WEIGHT_BITS)] for index, layer in enumerate(graph.contractions)
    }
    layers = {
        layer.name: LayerPlan(
            "float" if layer.name in floats else "integer", stored[layer.name], bits.get(layer.name)
        )
        for layer in graph
    }
    return Plan(network.model.name, graph.fingerprint, "test", "host", {"input": stored["input"]}, layers)


def compile_plan(
    model: Model,
    plan: Plan,
    target: Target,
    output: Path,
    flags: Sequence[str] = CHEAP,
    kernels: bool = False,
) -> Path:
    """The module that ships, for `target`, with its microkernels or without."""
    source, _ = lowered(model, quantizing(plan, target, kernels))
    return compile_module(source, output, target, flags).path


def compile_instrumented(
    model: Model, plan: Plan, target: Target, output: Path, kernels: bool = False
) -> list[str]:
    """The module that returns its outputs, then every layer's value in f32; returns the layers' names."""
    annotate, *rest = quantizing(plan, target, kernels)
    assert isinstance(annotate, AnnotatePrecision)
    source, reports = lowered(model, [annotate, Instrument(), *rest])
    compile_module(source, output, target, INSTRUMENTED_FLAGS)
    names: list[str] = reports["instrument"]["outputs"]
    return names


def stored_form(value: Array, quantization: Any) -> NDArray[np.uint8]:
    """The u8 behind a dequantized value; fails if it is not one."""
    q = np.rint(value / np.float32(quantization.scale)) + quantization.zero_point
    assert q.min() >= 0 and q.max() <= quantization.maximum
    result = q.astype(np.uint8)
    np.testing.assert_array_equal(dequantize(result, quantization), value)
    return result


def check_integer_layers(graph: Graph, plan: Plan, values: Mapping[str, Array]) -> int:
    """Every integer layer's value is what the reference makes of the values that the module itself had.

    `values`: f32, of every layer and network input. Returns how many layers were compared.
    """
    stored = integer_values(graph, plan)
    integers = {
        name: stored_form(values[name], q)
        if name in graph and plan.layers[name].precision == "integer"
        else quantize(values[name], q)
        for name, q in stored.items()
    }
    compared = 0
    for layer in graph:
        choice = plan.layers[layer.name]
        if choice.precision == "float":
            continue
        output = stored.get(layer.name)
        sources = [stored[name] for name in layer.inputs]
        expected = execute_layer(layer, choice, [integers[name] for name in layer.inputs], sources, output)
        got = values[layer.name] if output is None else integers[layer.name]
        np.testing.assert_array_equal(got, expected, err_msg=f"layer {layer.name} ({layer.kind})")
        compared += 1
    return compared


GetNetwork = Callable[[str], Network]
