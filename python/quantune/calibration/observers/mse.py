"""The range whose quantizer loses the least mean squared error on what was observed (the default)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.calibration.histogram import BINS, Histogram
from quantune.calibration.observers import min_max
from quantune.calibration.observers.candidates import search

Floats = NDArray[np.float64]


def range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """Minimises `expected_error` over both ends. Raises QuantuneError when nothing was observed."""
    lo, hi = min_max.range(histogram, bits)
    if lo == hi:
        return lo, hi
    moments = _Moments(histogram)
    return search(lo, hi, lambda lower, upper: moments.error(lower, upper, bits))


def expected_error(histogram: Histogram, lo: float, hi: float, bits: int) -> float:
    """Mean squared error of quantizing to [lo, hi], values being uniform within a bin and zeros exact."""
    return float(_Moments(histogram).error(np.array([lo]), np.array([hi]), bits)[0])


class _Moments:
    """Integrals of 1, x and x² over the histogram up to any point: a level costs O(1), not O(bins)."""

    def __init__(self, histogram: Histogram) -> None:
        # In units of the bin width, where edges are whole numbers.
        self.unit = histogram.width
        self.first = histogram.first
        density = np.append(histogram.nonzero_counts / histogram.count, 0.0)
        edges = self.first + np.arange(BINS + 1, dtype=np.float64)
        # Within a bin the integral of x**k is slope * t**(k + 1) + base, with slope and base of that bin.
        self.slopes = [density / (power + 1) for power in (0, 1, 2)]
        self.bases = []
        for power, slope in enumerate(self.slopes):
            primitive = edges ** (power + 1)
            below = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(primitive))])
            self.bases.append(below - slope * primitive)

    def upto(self, t: Floats) -> list[Floats]:
        """The three integrals [3][...] up to t [...]."""
        t = np.clip(t, self.first, self.first + BINS)
        index = (t - self.first).astype(np.int64)
        powers = (t, t * t, t * t * t)
        return [
            slope[index] * p + base[index]
            for slope, base, p in zip(self.slopes, self.bases, powers, strict=True)
        ]

    def error(self, lo: Floats, hi: Floats, bits: int) -> Floats:
        """[N] for lower and upper ends [N]: squared distance of what rounds to each level, summed."""
        lo, hi = lo[:, None] / self.unit, hi[:, None] / self.unit
        top = (1 << bits) - 1
        scale = (hi - lo) / top
        levels = np.arange(top + 1) - np.clip(np.rint(-lo / scale), 0, top)
        ends = np.full((lo.shape[0], 1), np.inf)
        thresholds = np.concatenate([-ends, scale * (levels[:, :-1] + 0.5), ends], axis=1)
        mass, first, second = (np.diff(part, axis=1) for part in self.upto(thresholds))
        values = scale * levels
        return (second - 2 * values * first + values * values * mass).sum(axis=1) * self.unit**2
