"""How long a 16-bit lane may sum before it must be widened: the proof behind the AVX2 kernels.

`vpmaddubsw` multiplies u8 activations by s8 weights and adds neighbouring products into 16-bit lanes;
`vpaddw` then adds step after step. Weights are constants and an activation is 0..a_max, so after the steps
S a lane holds at most a_max * sum of the positive weights of its pair over S, and at least -a_max * sum of
the magnitudes of the negative ones; both are reached by sign-matched activations. The lane is exact as long
as the first is at most 32767 and the second at most 32768. Sums in between may wrap, as only the final
value of a lane matters; a single pair must not exceed the bounds, because `vpmaddubsw` saturates, and it
does not if its step fits.

The greedy schedule extends each group until a further step would break a bound for any column of the tile.
Groups are as long as can be: one step more overflows for some activations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 255  # a length is one byte


def lane_extremes(weights: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[..., columns, 4] → per column and lane (a pair of products): positive weights, negative magnitudes."""
    pairs = weights.reshape(*weights.shape[:-2], -1, 2)
    return np.maximum(pairs, 0).sum(-1), np.maximum(-pairs, 0).sum(-1)


def flush_schedules(weights: NDArray[np.int64], largest: int) -> list[list[int]] | None:
    """For every tile, the lengths of the groups of steps between flushes in one run.

    weights: [tiles, steps, columns, 4]. largest: the greatest stored activation.
    Returns None when a single step may already overflow.
    """
    positive, negative = lane_extremes(weights)
    if _overflows(positive, negative, largest).any():
        return None
    tiles, steps = weights.shape[:2]
    found: list[list[int]] = [[] for _ in range(tiles)]
    high, low = np.zeros_like(positive[:, 0]), np.zeros_like(positive[:, 0])
    length = np.zeros(tiles, np.int64)
    for step in range(steps):
        high, low = high + positive[:, step], low + negative[:, step]
        flush = (length > 0) & (_overflows(high, low, largest) | (length == LONGEST))
        for tile in np.flatnonzero(flush):
            found[tile].append(int(length[tile]))
        high[flush], low[flush] = positive[flush, step], negative[flush, step]
        length = np.where(flush, 1, length + 1)
    return [[*lengths, int(last)] for lengths, last in zip(found, length, strict=True)]


def _overflows(high: NDArray[np.int64], low: NDArray[np.int64], largest: int) -> NDArray[np.bool_]:
    """Whether any lane (the last axis) can leave 16 bits."""
    beyond = (high * largest > 32767) | (low * largest > 32768)
    return np.asarray(beyond.any(axis=-1))
