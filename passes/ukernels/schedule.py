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
    """[steps, columns, 4] → sums of positive weights, of negative magnitudes.

    Each per step, column and lane (a pair of products).
    """
    pairs = weights.reshape(len(weights), -1, 2)
    return np.maximum(pairs, 0).sum(2), np.maximum(-pairs, 0).sum(2)


def flush_schedule(weights: NDArray[np.int64], largest: int) -> list[int] | None:
    """Lengths of the groups of steps between flushes for a tile and run; None if one step may overflow.

    weights: [steps, columns, 4]. largest: the greatest stored activation.
    """
    positive, negative = lane_extremes(weights)
    fits = (positive * largest <= 32767) & (negative * largest <= 32768)
    if not fits.all():
        return None
    lengths: list[int] = []
    high = np.zeros(positive.shape[1], np.int64)
    low = np.zeros_like(high)
    length = 0
    for step in range(len(weights)):
        over = ((high + positive[step]) * largest > 32767).any() or (
            (low + negative[step]) * largest > 32768
        ).any()
        if length and (over or length == LONGEST):
            lengths.append(length)
            length, high, low = 0, np.zeros_like(high), np.zeros_like(low)
        length += 1
        high = high + positive[step]
        low = low + negative[step]
    return [*lengths, length]
