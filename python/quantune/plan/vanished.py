"""Values whose few bits are spent on outliers: almost all of what they hold is stored as zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantune.calibration.statistics import Statistics
from quantune.graph.model import Graph
from quantune.numerics import quantize
from quantune.plan.schema import Quantization

MOST = 0.5
"""Networks as they are lose a fifth of a value at most, by their own heavy tails."""


@dataclass(frozen=True)
class Vanished:
    """One value.

    Attributes:
        share: of its numbers other than 0, how many are stored as 0.
        largest: in magnitude, over all calibration images. usual: the magnitude that half of them stay below.
    """

    name: str
    share: float
    largest: float
    usual: float


def vanished(graph: Graph, statistics: Statistics, stored: Mapping[str, Quantization]) -> list[Vanished]:
    """Of the values that are `stored` in integers, those that lose more than MOST; the worst first.

    Layers that only move values are left out: what they lose, their input has lost before.
    """
    found = []
    for name, quantization in stored.items():
        if name not in statistics.samples or (name in graph and graph.layer(name).is_transparent):
            continue
        numbers = statistics.samples[name]
        numbers = numbers[numbers != 0]
        if not numbers.size:
            continue
        share = float(np.mean(quantize(numbers, quantization) == quantization.zero_point))
        if share > MOST:
            histogram = statistics.histograms[name]
            largest = max(-histogram.minimum, histogram.maximum)
            found.append(Vanished(name, share, largest, float(np.median(np.abs(numbers)))))
    return sorted(found, key=lambda value: -value.share)
