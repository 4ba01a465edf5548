"""Measuring what the store lacks, batch by batch; every finished batch is saved, so Ctrl-C loses little."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from quantune.costs.measure import measure
from quantune.costs.module import Work
from quantune.costs.shapes import KINDS, Shape, shape_of
from quantune.costs.store import Cost, Store
from quantune.errors import QuantuneError
from quantune.graph.model import Graph
from quantune.plan.cost import TILE
from quantune.progress import Progress, Silent, stage
from quantune.targets import Target
from quantune.targets.cost_model import PRECISIONS

MOST_SHAPES = 8  # compiled together
MOST_WEIGHTS = 4_000_000
HUGE_WEIGHTS = 32_000_000
"""A layer beyond this (VGG16's first fully connected one) would take gigabytes: see `measured_part`."""

BOUNDARIES = tuple(
    Shape(kind, size, channels, channels)
    for kind in ("quantize", "dequantize")
    for size, channels in (((7, 7), 64), ((14, 14), 256), ((56, 56), 64), ((112, 112), 64))
)
"""Where a boundary's price is measured; in between it is a line."""


def works_of(shapes: Iterable[Shape], precisions: Sequence[str] = PRECISIONS) -> list[Work]:
    """Everything to be measured for these shapes, each once: boundaries, then the heaviest shapes first."""
    found = []
    for shape in sorted(dict.fromkeys(shapes), key=lambda s: (s.kind in KINDS, -s.macs)):
        if measured_part(shape).weights <= HUGE_WEIGHTS:
            names = precisions if shape.weights else ("a8", "f32") if shape.kind in KINDS else ("a8",)
            found += [Work(shape, name) for name in names]
    return found


def shapes_of(graph: Graph) -> list[Shape]:
    """The distinct shapes of a network that can be measured."""
    found = (shape_of(graph, layer) for layer in graph)
    return list(dict.fromkeys(shape for shape in found if shape is not None))


def measured_part(shape: Shape) -> Shape:
    """What is timed for a shape: itself, or of a huge fully connected layer as many filters as are not huge.

    Such a layer waits for its weights, each used once: its time grows as its filters do.
    """
    if shape.kind != "linear" or shape.weights <= HUGE_WEIGHTS:
        return shape
    return replace(shape, filters=max(TILE, HUGE_WEIGHTS // shape.channels // TILE * TILE))


def missing(works: Iterable[Work], store: Store) -> list[Work]:
    """What the store does not know."""
    return [work for work in works if work.precision not in store.costs.get(work.shape.key, {})]


def calibrate(
    works: Sequence[Work],
    target: Target,
    store: Store,
    progress: Progress | None = None,
    kernels: bool = True,
    budget_seconds: float | None = None,
) -> list[Work]:
    """Measures `works` and saves them; returns those left over when the budget is spent, or that failed.

    Raises QuantuneError when the store cannot be written.
    """
    progress, began = progress or Silent(), time.monotonic()
    left: list[Work] = []
    batches = list(_batches(works))
    with stage(progress, f"measuring layers on {store.cpu}", len(works)):
        for batch in batches:
            if budget_seconds is not None and time.monotonic() - began > budget_seconds:
                left += batch
                continue
            found = _measured(batch, target, kernels)
            for work, cost in found.items():
                store.costs.setdefault(work.shape.key, {})[work.precision] = cost
            store.save()
            left += [work for work in batch if work not in found]
            progress.advance(len(batch))
    return left


def _measured(batch: Sequence[Work], target: Target, kernels: bool) -> dict[Work, Cost]:
    """Without the works that do not compile: code generation gives up on some shapes."""
    parts = [Work(measured_part(work.shape), work.precision) for work in batch]
    try:
        found = measure(parts, target, kernels)
    except QuantuneError:
        if len(batch) == 1:
            return {}
        middle = len(batch) // 2
        return _measured(batch[:middle], target, kernels) | _measured(batch[middle:], target, kernels)
    return {
        work: found[part].times(work.shape.filters / part.shape.filters)
        for work, part in zip(batch, parts, strict=True)
    }


def _batches(works: Sequence[Work]) -> Iterator[list[Work]]:
    """A few shapes each, with all their precisions, so that ratios are fair."""
    batch: list[Work] = []
    shapes: dict[Shape, None] = {}
    for work in works:
        grown = shapes | {work.shape: None}
        full = len(grown) > MOST_SHAPES or sum(s.weights for s in grown) > MOST_WEIGHTS
        if batch and full and work.shape not in shapes:
            yield batch
            batch, grown = [], {work.shape: None}
        batch.append(work)
        shapes = grown
    if batch:
        yield batch
