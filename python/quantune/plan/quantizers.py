"""From statistics to the scale and zero point of every value."""

from __future__ import annotations

from quantune.calibration.observers import Observer
from quantune.calibration.statistics import Statistics
from quantune.graph.model import Graph
from quantune.numerics import quantization_from_range
from quantune.plan.schema import Quantization
from quantune.plan.settings import Scheme

Range = tuple[float, float]
WIDEST_SHARE = 2.0
"""A concatenation's input takes over the common scale if that is at most this much coarser (one bit lost).

Else it is requantized.
"""


def quantizations(
    graph: Graph,
    statistics: Statistics,
    observer: Observer,
    bits: int = 8,
    scheme: Scheme = "asymmetric",
) -> dict[str, Quantization]:
    """value name → Quantization.

    Layers that only move values share their input's range. The inputs of a concatenation share one range
    where that costs little, so that joining them moves bytes and nothing else.
    """
    ranges = {name: observer(histogram, bits) for name, histogram in statistics.histograms.items()}
    owner = {name: name for name in ranges}

    def root(value: str) -> str:
        while owner[value] != value:
            value = owner[value]
        return value

    for layer in graph:
        if layer.is_transparent and layer.kind != "concat":
            owner[root(layer.name)] = root(layer.inputs[0])
        elif layer.kind == "concat":
            joined = [root(value) for value in layer.inputs]
            common = _hull([ranges[r] for r in joined])
            for member in joined:
                if _width(common) <= WIDEST_SHARE * _width(ranges[member]):
                    owner[root(member)] = root(layer.name)
            ranges[root(layer.name)] = common
    return {name: quantization_from_range(*ranges[root(name)], bits, scheme) for name in ranges}


def _hull(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _width(limits: Range) -> float:
    return limits[1] - limits[0]
