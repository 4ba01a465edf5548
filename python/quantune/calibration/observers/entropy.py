"""The range whose quantizer tells the least about itself: minimal Kullback-Leibler divergence.

After S. Migacz, "8-bit inference with TensorRT" (GTC 2017), for affine quantizers: bins are grouped by the
level that they really round to, zero point included, both ends are searched, and exact zeros, which every
affine quantizer keeps, are left out. So are point masses, see `smooth`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.calibration.histogram import Histogram
from quantune.calibration.observers import min_max
from quantune.calibration.observers.candidates import search

Floats = NDArray[np.float64]

KEPT = 0.9
"""The least share of non-zero values inside a range: clipped into one bin, anything looks undisturbed."""
AROUND = 16
"""Bins on either side that a bin is compared with: two levels of 8 bits over the whole range."""


def range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """Minimises `divergence` over both ends. Raises QuantuneError when nothing was observed."""
    lo, hi = min_max.range(histogram, bits)
    counts = smooth(histogram.nonzero_counts)
    used = np.flatnonzero(counts)
    if lo == hi or used.size == 0:
        return lo, hi
    counts = counts[used]
    # The outermost bins reach beyond the extremes, and still lie inside the unclipped range.
    centers = np.clip(histogram.centers[used], lo, hi)
    # With fewer bins than levels the histogram cannot show what rounding costs.
    resolvable = histogram.width * (1 << bits)

    def cost(lower: Floats, upper: Floats) -> Floats:
        plausible = (upper - lower >= resolvable) | ((lower == lo) & (upper == hi))
        candidates = zip(lower, upper, plausible, strict=True)
        costs = [divergence(counts, centers, a, b, bits) if ok else np.inf for a, b, ok in candidates]
        return np.round(costs, 9)  # so that the unclipped range wins what is a tie but for rounding

    return search(lo, hi, cost, rounds=1)


def smooth(counts: NDArray[np.int64]) -> Floats:
    """Counts [B] cut to the median of the bins around each; 1 at least where there was anything.

    A picture's background gives every channel one value that a share of all elements has. Where it lies
    within a level costs nothing, but the divergence would charge for it more than for all that is clipped.
    """
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, AROUND), 2 * AROUND + 1)
    return np.minimum(counts, np.maximum(np.median(around, axis=1), 1.0))


def divergence(counts: Floats, centers: Floats, lo: float, hi: float, bits: int) -> float:
    """KL(P || Q) in nats over occupied bins, counts [B] > 0 at centers [B]; infinite if too little is inside.

    P has all that lies outside [lo, hi] gathered in the outermost bins inside; Q is what remains inside
    when all bins of one level share their mean.
    """
    begin, end = np.searchsorted(centers, lo, "left"), np.searchsorted(centers, hi, "right")
    kept = counts[begin:end]
    total = counts.sum()
    if kept.sum() < KEPT * total:
        return float("inf")
    p = kept.copy()
    p[0] += counts[:begin].sum()
    p[-1] += counts[end:].sum()
    top = (1 << bits) - 1
    scale = (hi - lo) / top
    level = np.clip(np.rint(centers[begin:end] / scale + np.rint(-lo / scale)), 0, top).astype(np.int64)
    q = (np.bincount(level, weights=kept) / np.maximum(np.bincount(level), 1))[level]
    return float((p * np.log(p / q * (kept.sum() / total))).sum() / total)
