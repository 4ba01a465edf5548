"""Where to clip the weights of few bits: the range that loses the least squared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 1024
FACTORS = 2.0 ** -(np.arange(161) / 32)
"""Clips that are tried, as fractions of the largest weight: from 1 to 1/32 in steps of 2 %."""
_BLOCK = 1 << 22


def clipping(magnitude: NDArray[np.float32], largest: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """For each row of |w| [C, N] with maxima [C], the factor [C] that clips its range best.

    Minimises the squared error of rounding to 0, ±s, …, ±limit·s with s = factor·largest/limit, over a
    histogram of the row. Ties go to the wider range; a row of zeros gets 1.
    """
    errors = _errors(limit)
    rows = max(1, _BLOCK // max(magnitude.shape[1], 1))
    best = np.ones(len(magnitude))
    for start in range(0, len(magnitude), rows):
        block, top = magnitude[start : start + rows], largest[start : start + rows]
        costs = _histograms(block, np.where(top > 0, top, 1.0)) @ errors.T
        # rounded, so that the order in which a machine sums does not choose between ties
        scaled = np.round(costs / np.maximum(costs[:, :1], 1e-300), 9)
        best[start : start + rows] = np.where(top > 0, FACTORS[np.argmin(scaled, axis=1)], 1.0)
    return best


def _errors(limit: int) -> NDArray[np.float64]:
    """[factors, BINS]: squared error of a weight in the middle of a bin, in units of the largest weight."""
    centers = (np.arange(BINS) + 0.5) / BINS
    scales = FACTORS[:, None] / limit
    stored = np.minimum(np.rint(centers / scales), limit)
    return np.asarray((centers - stored * scales) ** 2)


def _histograms(magnitude: NDArray[np.float32], largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """[C, BINS]: counts of |w| / largest."""
    channels = len(magnitude)
    index = np.minimum(magnitude * (BINS / largest)[:, None], BINS - 1).astype(np.int64)
    index += np.arange(channels)[:, None] * BINS
    return np.bincount(index.ravel(), minlength=channels * BINS).reshape(channels, BINS).astype(np.float64)
