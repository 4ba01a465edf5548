"""Sliding windows over NHWC arrays, one window position at a time, so that memory stays that of the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Layer

Array = NDArray[Any]


def padded(x: Array, layer: Layer, fill: float) -> Array:
    """x with the layer's spatial `padding` filled in."""
    padding = layer.attributes.get("padding", [[0, 0], [0, 0]])
    if not np.any(padding):
        return x
    return np.pad(x, [(0, 0), *(tuple(side) for side in padding), (0, 0)], constant_values=fill)


def windows(x: Array, layer: Layer, kernel: tuple[int, int]) -> Iterator[tuple[int, int, Array]]:
    """Yields (i, j, view [N, OH, OW, C]): what each output position sees at element (i, j) of the kernel."""
    strides = layer.attributes.get("strides", [1, 1])
    dilations = layer.attributes.get("dilations", [1, 1])
    sizes = [(x.shape[a + 1] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1 for a in (0, 1)]
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows, columns = (
                slice(
                    start * dilations[a], start * dilations[a] + (sizes[a] - 1) * strides[a] + 1, strides[a]
                )
                for a, start in enumerate((i, j))
            )
            yield i, j, x[:, rows, columns, :]


def contract(x: Array, layer: Layer, weight: Array) -> Array:
    """The bare contraction of a padded input, summed in the dtype of its operands."""
    if layer.kind == "linear":
        return x @ weight
    kernel = (weight.shape[0], weight.shape[1])
    total: Array | None = None
    for i, j, view in windows(x, layer, kernel):
        term = view * weight[i, j] if layer.kind == "depthwise_conv2d" else _by_groups(view, weight[i, j])
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total


def _by_groups(x: Array, weight: Array) -> Array:
    """[…, C] by [C / groups, F] → […, F]."""
    groups = x.shape[-1] // weight.shape[0]
    if groups == 1:
        return np.asarray(x @ weight)
    apart = weight.reshape(weight.shape[0], groups, -1)
    terms = [x @ apart[:, g] for g, x in enumerate(np.split(x, groups, axis=-1))]
    return np.concatenate(terms, axis=-1)


def pool_kernel(layer: Layer, x: Array) -> tuple[int, int]:
    """The window of a pool; the whole image where the layer does not say."""
    height, width = layer.attributes.get("kernel") or x.shape[1:3]
    return int(height), int(width)


def pool_sum(x: Array, layer: Layer, kernel: tuple[int, int]) -> Array:
    return np.add.reduce([view for _, _, view in windows(x, layer, kernel)])


def pool_max(x: Array, layer: Layer, kernel: tuple[int, int]) -> Array:
    return np.maximum.reduce([view for _, _, view in windows(x, layer, kernel)])


def move(layer: Layer, inputs: list[Array], fill: float) -> Array:
    """The kinds that move or select values, without the clamp; `fill` stands in what they pad."""
    x, facts = inputs[0], layer.attributes
    match layer.kind:
        case "clamp":
            return x
        case "max_pool":
            x = padded(x, layer, fill)
            return pool_max(x, layer, pool_kernel(layer, x))
        case "concat":
            return np.concatenate(inputs, axis=facts["axis"])
        case "pad":
            return np.pad(x, list(zip(facts["low"], facts["high"], strict=True)), constant_values=fill)
        case "reshape":
            return x.reshape(layer.output_shape)
        case "transpose":
            return x.transpose(facts["permutation"])
        case "slice":
            strides = facts.get("strides", [1] * x.ndim)
            parts = zip(facts["offsets"], facts["sizes"], strides, strict=True)
            return x[tuple(slice(start, start + (size - 1) * step + 1, step) for start, size, step in parts)]
    raise AssertionError(layer.kind)
