"""Clips the rarest values: robust to a few outliers, blind to what they are worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.calibration.histogram import BINS, Histogram
from quantune.calibration.observers import min_max

DEFAULT = 99.99


def range(histogram: Histogram, bits: int, percentile: float = DEFAULT) -> tuple[float, float]:
    """The (100 - percentile)-th and percentile-th percentile of what is not exactly 0, widened to include 0.

    Exact zeros survive any range, so they do not count; an end that would be clipped to 0 altogether keeps
    its extreme. Linear within a bin. Raises QuantuneError when nothing was observed.
    """
    lo, hi = min_max.range(histogram, bits)
    counts = histogram.nonzero_counts
    if not counts.any():
        return lo, hi
    share = 1 - percentile / 100
    below = _crossing(counts, share)
    above = BINS - _crossing(counts[::-1], share)
    ends = ((histogram.first + position) * histogram.width for position in (below, above))
    clipped_lo, clipped_hi = (min(max(end, lo), hi) for end in ends)
    return clipped_lo if clipped_lo < 0 else lo, clipped_hi if clipped_hi > 0 else hi


def _crossing(counts: NDArray[np.int64], share: float) -> float:
    """How many bins from the left it takes to pass `share` of the mass, never stopping in an empty bin."""
    target = share * counts.sum()
    reached = np.cumsum(counts)
    index = int(np.searchsorted(reached, target, side="right"))
    return index + float(target - (reached[index] - counts[index])) / float(counts[index])
