"""How an error somewhere in a network reaches its outputs, without running it: a candidate of the study.

The network is taken as linear: contractions as they are, a clamp as the share of elements that it lets
through in the float run (ReLU: of those above zero), a maximum as the mean of its window. Of that linear
network, two transposes, walked from the outputs back:

- `linear`: what a given error becomes, element by element, signs and all.
- `energy`: what the energy of independent errors becomes; weights are squared and so are no signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Graph, Layer
from quantune.reference.windows import move, windows

Array = NDArray[np.floating[Any]]


def linear(graph: Graph, passed: Mapping[str, Array], rows: Mapping[str, Array]) -> dict[str, Array]:
    """Value → [K, ...]: an error of it times that, summed over the elements, is what each row changes by.

    passed: layer → share of elements that its clamp lets through, by channel (last axis).
    rows: network output → [K, ...], linear combinations of that output's elements.
    """
    return _walk(graph, passed, rows, squared=False)


def energy(graph: Graph, passed: Mapping[str, Array]) -> dict[str, Array]:
    """Value → [1, ...]: the outputs' summed squared error for a unit of squared error in each element."""
    rows = {name: np.ones((1, *graph.shape(name)[1:]), np.float32) for name in graph.outputs}
    return _walk(graph, passed, rows, squared=True)


def _walk(
    graph: Graph, passed: Mapping[str, Array], rows: Mapping[str, Array], squared: bool
) -> dict[str, Array]:
    count = len(next(iter(rows.values())))
    found: dict[str, Array] = {name: np.array(row, np.float32) for name, row in rows.items()}
    for layer in reversed(graph.layers):
        after = found.get(layer.name)
        if after is None:
            continue  # nothing that reaches an output reads it
        if layer.name in passed:
            after = after * passed[layer.name].astype(np.float32)
        for value, part in zip(layer.inputs, _transposed(layer, graph, after, squared), strict=True):
            shaped = part.reshape(count, *graph.shape(value)[1:])
            found[value] = found[value] + shaped if value in found else shaped
    return found


def _transposed(layer: Layer, graph: Graph, after: Array, squared: bool) -> list[Array]:
    """What each input contributes, given what the layer's result before its clamp contributes."""
    shapes = [graph.shape(value) for value in layer.inputs]
    if layer.is_contraction:
        parts = [_contraction(layer, shapes[0], after, squared)]
        return [*parts, after] if layer.residual else parts
    if layer.kind == "add":
        return [after, after]
    if layer.kind in ("avg_pool", "max_pool"):
        return [_pool(layer, shapes[0], after, squared)]
    if layer.kind == "clamp":
        return [after]
    return _moved(layer, shapes, after)


def _contraction(layer: Layer, shape: tuple[int, ...], after: Array, squared: bool) -> Array:
    assert layer.weight is not None
    weight = np.square(layer.weight) if squared else layer.weight
    if layer.kind == "linear":
        return after @ weight.T
    before, whole = _room(layer, shape, len(after))
    for i, j, view in windows(whole, layer, (weight.shape[0], weight.shape[1])):
        if layer.kind == "depthwise_conv2d":
            view += after * weight[i, j]
        elif weight.shape[2] == shape[-1]:
            view += after @ weight[i, j].T
        else:
            view += _by_groups(after, weight[i, j], shape[-1] // weight.shape[2])
    return before


def _by_groups(after: Array, weight: Array, groups: int) -> Array:
    """[…, F] by the transpose of [C / groups, F] → […, C]."""
    apart = weight.reshape(weight.shape[0], groups, -1)
    parts = [y @ apart[:, g].T for g, y in enumerate(np.split(after, groups, axis=-1))]
    return np.concatenate(parts, axis=-1)


def _pool(layer: Layer, shape: tuple[int, ...], after: Array, squared: bool) -> Array:
    before, whole = _room(layer, shape, len(after))
    kernel = layer.attributes.get("kernel") or whole.shape[1:3]
    after = after.reshape(len(after), -1, 1, shape[-1]) if after.ndim == 2 else after
    count = kernel[0] * kernel[1]
    share = 1.0 / count
    if layer.kind == "avg_pool":
        share = 1.0 / float(layer.attributes.get("divisor") or count)
        share = share * share if squared else share
    for _, _, view in windows(whole, layer, (int(kernel[0]), int(kernel[1]))):
        view += np.float32(share) * after
    return before


def _room(layer: Layer, shape: tuple[int, ...], count: int) -> tuple[Array, Array]:
    """(view without padding, the array with it), of zeros."""
    (top, bottom), (left, right) = layer.attributes.get("padding", [[0, 0], [0, 0]])
    whole = np.zeros((count, shape[1] + top + bottom, shape[2] + left + right, shape[3]), np.float32)
    return whole[:, top : top + shape[1], left : left + shape[2]], whole


def _moved(layer: Layer, shapes: list[tuple[int, ...]], after: Array) -> list[Array]:
    """Kinds that place elements: where each came from is found by moving their numbers."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    starts = np.cumsum([0, *sizes])
    numbers = [np.arange(a, b).reshape(s) for a, b, s in zip(starts[:-1], starts[1:], shapes, strict=True)]
    places = move(layer, numbers, -1).reshape(-1)
    flat = after.reshape(len(after), -1)
    before = np.zeros((len(after), int(starts[-1]) + 1), np.float32)  # the last takes what was padding
    if len(np.unique(places)) == len(places):
        before[:, places] = flat
    else:
        for row, part in zip(before, flat, strict=True):
            np.add.at(row, places, part)
    return [
        before[:, a:b].reshape(len(after), *shape[1:])
        for a, b, shape in zip(starts[:-1], starts[1:], shapes, strict=True)
    ]
