"""A price for every precision, in units of one 8-bit multiply-accumulate.

Ratios, not times: they rank choices within one network. Boundaries are priced by the elements they convert.
"""

from __future__ import annotations

import math

from quantune.graph.model import Graph, Layer

ELEMENT = 8.0  # epilogue of one output element: convert, multiply-add, round, clamp, store
FLOAT_ELEMENT = 10.0  # the same in f32: less arithmetic, four times the bytes
BOUNDARY_ELEMENT = 6.0  # one pass that reads one form and writes the other


def layer_cost(layer: Layer, precision: str, float_mac: float) -> float:
    """The price of one layer in "integer" or "float"."""
    elements = math.prod(layer.output_shape)
    if precision == "float":
        return float_mac * layer.macs + FLOAT_ELEMENT * elements
    return layer.macs + ELEMENT * elements


def island_cost(graph: Graph, layer: Layer, readers: int, float_mac: float) -> float:
    """What a float island of this one layer adds.

    Slower arithmetic, its inputs dequantized, its output quantized again.
    """
    slower = layer_cost(layer, "float", float_mac) - layer_cost(layer, "integer", float_mac)
    converted = sum(math.prod(graph.shape(value)) for value in layer.inputs)
    converted += math.prod(layer.output_shape) if readers else 0
    return slower + BOUNDARY_ELEMENT * converted
