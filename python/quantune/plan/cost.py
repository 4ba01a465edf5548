"""Prices: microseconds and bytes of every layer in every precision, and of what lies between them.

A price was measured on this machine or comes from the target's model; it says which. Strategies are given
prices and look nothing up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from quantune.graph.model import Graph, Layer
from quantune.targets.cost_model import PRECISIONS, CostModel

MEASURED, MODELLED = "measured on host", "modelled"
SCALE_BYTES = 8  # of every output channel: its scale and bias
TILE = 16  # output channels that a kernel does side by side
FAR_WEIGHTS = 1 << 18  # as in passes/ukernels/panels.py


@dataclass(frozen=True)
class Price:
    """Of one layer in one precision; `source` is MEASURED or MODELLED."""

    microseconds: float
    bytes: int
    source: str = MODELLED


@dataclass(frozen=True)
class Line:
    """microseconds = fixed + each · elements."""

    fixed: float
    each: float
    source: str = MODELLED

    def __call__(self, elements: int) -> float:
        return self.fixed + self.each * elements


@dataclass(frozen=True)
class Prices:
    """Of one network on one target.

    Attributes:
        layers: layer's name → precision → Price. Precisions of contractions are "w8a8" … "w4a8" and "f32", of
            other layers "a8" and "f32"; layers that only move values have none.
        quantize, dequantize: of a boundary, by its elements.
    """

    layers: Mapping[str, Mapping[str, Price]]
    quantize: Line
    dequantize: Line

    def of(self, layer: str, precision: str) -> Price:
        """What is not priced is free."""
        return self.layers.get(layer, {}).get(precision, Price(0.0, 0))

    def island(self, graph: Graph, layer: Layer, read: bool) -> Price:
        """One layer in f32 among integers: its inputs dequantized, its output, if `read`, quantized again."""
        own = self.of(layer.name, "f32")
        inputs = sum(self.dequantize(math.prod(graph.shape(value))) for value in layer.inputs)
        output = self.quantize(math.prod(layer.output_shape)) if read else 0.0
        return Price(own.microseconds + inputs + output, own.bytes, own.source)

    @property
    def sources(self) -> dict[str, int]:
        """Source → how many layers it priced."""
        found: dict[str, int] = {}
        for prices in self.layers.values():
            source = MEASURED if all(p.source == MEASURED for p in prices.values()) else MODELLED
            found[source] = found.get(source, 0) + 1
        return found


@dataclass(frozen=True)
class Work:
    """What decides a layer's price in the model: multiply-accumulates, weights, elements read and written."""

    kind: str
    macs: int
    weights: int
    channels: int
    read: int
    written: int = field(default=0)


def work_of(graph: Graph, layer: Layer) -> Work:
    """Of one layer of a graph."""
    read = sum(math.prod(graph.shape(value)) for value in layer.inputs)
    written = math.prod(layer.output_shape)
    return Work(layer.kind, layer.macs, layer.weight_count, layer.output_shape[-1], read, written)


def modelled(work: Work, precision: str, model: CostModel) -> Price:
    """The longer of computing and fetching weights, then the epilogue.

    Issue bounds and bandwidths stand in the target's CostModel.
    """
    is_float = precision == "f32"
    element = model.elements[is_float]
    if not work.weights:
        return Price(model.microseconds((work.read + work.written) / element), 0)
    rate = model.depthwise[is_float] if work.kind == "depthwise_conv2d" else model.rate(precision)
    size = round(work.weights * _bytes_each(work, precision, model))
    cycles = max(work.macs / rate, size / model.bytes) + work.written / element
    return Price(model.microseconds(cycles), size + SCALE_BYTES * work.channels)


def _bytes_each(work: Work, precision: str, model: CostModel) -> float:
    """Of a weight as it is stored; all kernels but depthwise convolutions' fill up tiles of columns."""
    if work.kind == "depthwise_conv2d":
        return 4 if precision == "f32" else 1
    filled = -(-work.channels // TILE) * TILE / work.channels
    if precision == "f32":
        return 4 * filled
    bits = max(4, int(precision[1]))
    packed = bits == 4 or (work.macs <= model.packed_rows * work.weights and work.weights > FAR_WEIGHTS)
    return filled * bits / 8 if packed else filled


def boundary(model: CostModel, kind: str) -> Line:
    """A quantize or dequantize, by the target's model."""
    rate = model.boundary[kind == "dequantize"]
    return Line(model.call, model.microseconds(1 / rate) - model.call)


def precisions_of(layer: Layer) -> tuple[str, ...]:
    """The precisions in which a layer has a price."""
    if layer.is_contraction:
        return PRECISIONS
    return ("a8", "f32") if layer.kind in ("add", "max_pool", "avg_pool") else ()
