"""Which layers' channels can be scaled against each other."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from quantune.graph.model import Graph, Layer

BETWEEN = ("max_pool", "avg_pool", "clamp")
"""Kinds that scale with their input channel by channel."""

Pair = tuple[Layer, Layer]


def pairs(graph: Graph) -> Iterator[Pair]:
    """Two contractions of which the second alone reads the first, through ReLU or nothing, and pools."""
    consumers = graph.consumers()
    for first in graph.contractions:
        if first.residual or not _scales(first):
            continue
        value = first.name
        while True:
            readers = consumers[value]
            if value in graph.outputs or len(readers) != 1:
                break
            reader = readers[0]
            flattens = reader.kind == "reshape" and math.prod(reader.output_shape) == reader.output_shape[-1]
            if flattens or (reader.kind in BETWEEN and _scales(reader)):
                value = reader.name
                continue
            alone = (
                reader.is_contraction and reader.data_inputs == (value,) and reader.inputs.count(value) == 1
            )
            if alone and channels_in(reader) == first.output_shape[-1]:
                yield first, reader
            break


def _scales(layer: Layer) -> bool:
    """Whether the layer's fused activation is the same function of scaled values: none, or ReLU."""
    return layer.clamp in ((-np.inf, np.inf), (0.0, np.inf))


def channels_in(layer: Layer) -> int:
    """How many input channels the weights of a contraction tell apart; 0 where groups share them."""
    assert layer.weight is not None
    if layer.attributes.get("groups", 1) > 1:
        return 0
    return layer.weight.shape[-1] if layer.kind == "depthwise_conv2d" else layer.weight.shape[-2]
