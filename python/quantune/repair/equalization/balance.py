"""Channels scaled until the ranges on both sides are equal."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.repair.equalization.pairs import pairs
from quantune.repair.repairs import Constants, Repairs, largest_change, repaired

ROUNDS = 20
SETTLED = 1e-3
"""Rounds end when no channel of any pair moves by more than that share."""


def equalize(graph: Graph) -> Repairs:
    """New weights and biases of all chains of contractions whose channels can be scaled against each other.

    Pairs are taken in order, again until nothing moves, so that chains (convolution, depthwise, convolution)
    settle as a whole. Channels that are all zero on either side stay as they are. No bias grows beyond its
    layer's largest: a channel of tiny weights and a large bias would else decide the range of all channels.

    Raises QuantuneError for NaN weights, and when the network has no pair that may be changed.
    """
    begun = time.perf_counter()
    found = list(pairs(graph))
    if not found:
        raise QuantuneError(
            "equalization finds nothing to change: no two layers with weights follow each other alone "
            "through ReLU or nothing (ReLU6 has a bound that would have to move); leave --equalize out"
        )
    weights = {layer.name: _checked(layer).astype(np.float64) for pair in found for layer in pair}
    biases = {first.name: np.asarray(first.bias, np.float64) for first, _ in found if first.bias is not None}
    rounds, moved = 0, np.inf
    while moved > SETTLED and rounds < ROUNDS:
        moved = max(_balance(first, second, weights, biases) for first, second in found)
        rounds += 1
    layers = {
        name: Constants(
            weight.astype(np.float32), biases[name].astype(np.float32) if name in biases else None
        )
        for name, weight in weights.items()
    }
    repairs = Repairs(layers)
    report = {
        "pairs": [[first.name, second.name] for first, second in found],
        "rounds": rounds,
        "largest_change": largest_change(graph, repaired(graph, repairs)),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    return Repairs(layers, {"equalize": report})


def _balance(
    first: Layer,
    second: Layer,
    weights: dict[str, NDArray[np.float64]],
    biases: dict[str, NDArray[np.float64]],
) -> float:
    """One step of the paper's equation 11 on a pair; returns the largest relative change of a channel."""
    w1, w2 = weights[first.name], weights[second.name]
    axis = w2.ndim - (1 if second.kind == "depthwise_conv2d" else 2)
    ranges1 = np.abs(w1).max(axis=tuple(range(w1.ndim - 1)))
    ranges2 = np.abs(w2).max(axis=tuple(i for i in range(w2.ndim) if i != axis))
    alive = (ranges1 > 0) & (ranges2 > 0)
    ratio = np.where(alive, ranges1, 1.0) / np.where(alive, ranges2, 1.0)
    scales = np.sqrt(np.clip(ratio, 1e-12, 1e12))
    if (bias := biases.get(first.name)) is not None and bias.any():
        scales = np.maximum(scales, np.minimum(np.abs(bias) / np.abs(bias).max(), 1.0))
    weights[first.name] = w1 / scales
    weights[second.name] = w2 * np.expand_dims(scales, tuple(range(1, w2.ndim - axis)))
    if first.name in biases:
        biases[first.name] = biases[first.name] / scales
    return float(np.abs(np.log(scales)).max(initial=0.0))


def _checked(layer: Layer) -> NDArray[np.float32]:
    assert layer.weight is not None
    for array in (layer.weight, layer.bias):
        if array is not None and not np.isfinite(array).all():
            raise QuantuneError(f"{layer.name}: constants are NaN or infinite; repair the weights file")
    return layer.weight
