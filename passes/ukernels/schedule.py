"""How long a 16-bit lane may sum before it must be widened: the proof behind the AVX2 and NEON kernels.

A step adds the products of four activations and four weights to lanes: `vpmaddubsw` and `vpaddw` two products
to each of two lanes (AVX2), `smlal` one to each of four (NEON). Weights are constants and an operand lies in
[least, greatest]: 0..a_max, or that less 128 where the instruction wants s8. So, with P the sum of a lane's
positive weights over the steps S and N that of the negative ones' magnitudes, the lane holds

    at most   greatest * P - least * N
    at least  least * P - greatest * N

both reached by sign-matched activations. The lane is exact as long as the first is at most 32767 and the
second at least -32768. Sums in between may wrap, as only the final value of a lane matters; a single step
must not exceed the bounds, because `vpmaddubsw` saturates, and it does not if its step fits.

The greedy schedule extends each group until a further step would break a bound for any column of the tile.
Groups are as long as can be: one step more overflows for some activations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 255  # a length is one byte


def lane_extremes(
    weights: NDArray[np.int64], operands: tuple[int, int], lane: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[..., columns, 4] → per column and lane of `lane` products the greatest and the least sum."""
    least, greatest = operands
    products = weights.reshape(*weights.shape[:-2], -1, lane)
    positive, negative = np.maximum(products, 0).sum(-1), np.maximum(-products, 0).sum(-1)
    return greatest * positive - least * negative, least * positive - greatest * negative


def flush_schedules(
    weights: NDArray[np.int64], operands: tuple[int, int], lane: int
) -> list[list[int]] | None:
    """For every tile, the lengths of the groups of steps between flushes in one run.

    weights: [tiles, steps, columns, 4]. operands: the least and the greatest. lane: products that a step
    adds to one lane. Returns None when a single step may already overflow.
    """
    most, least = lane_extremes(weights, operands, lane)
    if _overflows(most, least).any():
        return None
    tiles, steps = weights.shape[:2]
    found: list[list[int]] = [[] for _ in range(tiles)]
    high, low = np.zeros_like(most[:, 0]), np.zeros_like(least[:, 0])
    length = np.zeros(tiles, np.int64)
    for step in range(steps):
        high, low = high + most[:, step], low + least[:, step]
        flush = (length > 0) & (_overflows(high, low) | (length == LONGEST))
        for tile in np.flatnonzero(flush):
            found[tile].append(int(length[tile]))
        high[flush], low[flush] = most[flush, step], least[flush, step]
        length = np.where(flush, 1, length + 1)
    return [[*lengths, int(last)] for lengths, last in zip(found, length, strict=True)]


def _overflows(high: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether any lane (the last axis) can leave 16 bits."""
    return np.asarray(((high > 32767) | (low < -32768)).any(axis=-1))
