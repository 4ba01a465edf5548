"""The prices of a network: measured where that was done, else the target's model, scaled by what was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from quantune.costs.shapes import Shape, parse_key, shape_of
from quantune.costs.store import Store
from quantune.graph.model import Graph
from quantune.plan.cost import (
    MEASURED,
    Line,
    Price,
    Prices,
    Work,
    boundary,
    modelled,
    precisions_of,
    work_of,
)
from quantune.targets import Target
from quantune.targets.cost_model import PRECISIONS, CostModel


def prices(
    graph: Graph, target: Target, store: Store | None = None, precisions: Sequence[str] = PRECISIONS
) -> Prices:
    """Of every layer that has a price; without a store all are modelled.

    precisions: of layers with weights; the others have but two.
    """
    model = target.cost_model
    known = {} if store is None else store.costs
    factors = _factors(store, model)
    layers = {}
    for layer in graph:
        shape = shape_of(graph, layer)
        measured = known.get(shape.key, {}) if shape is not None else {}
        found = {}
        for precision in precisions if layer.is_contraction else precisions_of(layer):
            if (cost := measured.get(precision)) is not None:
                found[precision] = Price(cost.microseconds, cost.bytes, MEASURED)
            else:
                price = modelled(work_of(graph, layer), precision, model)
                factor = factors.get((layer.kind, precision), factors.get((layer.kind, ""), 1.0))
                found[precision] = Price(price.microseconds * factor, price.bytes, price.source)
        if found:
            layers[layer.name] = found
    return Prices(layers, _line("quantize", store, model), _line("dequantize", store, model))


def _factors(store: Store | None, model: CostModel) -> dict[tuple[str, str], float]:
    """(kind, precision) → median of measured over modelled; precision "" stands for all of a kind."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for key, costs in ({} if store is None else store.costs).items():
        shape = parse_key(key)
        for precision, cost in costs.items():
            ratio = cost.microseconds / modelled(work_of_shape(shape), precision, model).microseconds
            for entry in ((shape.kind, precision), (shape.kind, "")):
                ratios.setdefault(entry, []).append(ratio)
    return {entry: statistics.median(found) for entry, found in ratios.items()}


def work_of_shape(shape: Shape) -> Work:
    """What a layer of this shape has to do."""
    return Work(shape.kind, shape.macs, shape.weights, shape.filters, shape.input_elements, shape.elements)


def _line(kind: str, store: Store | None, model: CostModel) -> Line:
    """A straight line through what was measured, small sizes weighing as much as large ones."""
    points = [
        (parse_key(key).elements, costs["a8"].microseconds)
        for key, costs in ({} if store is None else store.costs).items()
        if key.startswith(f"{kind} ") and "a8" in costs
    ]
    if len(points) < 2:
        return boundary(model, kind)
    elements, times = np.array(points, np.float64).T
    matrix = np.stack([np.ones_like(elements), elements], axis=1) / times[:, None]
    (fixed, each), *_ = np.linalg.lstsq(matrix, np.ones_like(times), rcond=None)
    if fixed < 0:
        fixed, each = 0.0, float(np.mean(times / elements))
    return Line(float(fixed), max(0.0, float(each)), MEASURED)
