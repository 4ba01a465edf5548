"""How long a 16-bit lane may sum before it must be widened: the proof behind the AVX2 and NEON kernels.

A step adds the products of four activations and four weights to lanes: `vpmaddubsw` and `vpaddw` two products
to each of two lanes (AVX2), `smlal` one to each of four (NEON). Weights are constants and an operand lies in
[least, greatest]: 0..a_max, or that less 128 where the instruction wants s8. So, with P the sum of a lane's
positive weights over the steps S and N that of the negative ones' magnitudes, the lane sums

    at most   high = greatest * P - least * N
    at least  low  = least * P - greatest * N

both reached by sign-matched activations. Sixteen bits tell 65536 values apart, so the lane is exact as long
as high - low <= 65535, if it starts from the middle: from the bias -(low + high + 1) // 2, which moves the
sums to -32768..32767 and is taken off again at the end, all groups' biases at once. Sums in between may
wrap, as only the final value of a lane matters; a single step must fit by itself, because `vpmaddubsw`
saturates.

The greedy schedule extends each group until a further step would break the bound for any column of the tile.
Groups are as long as can be: one step more overflows for some activations, whatever the bias. NEON's operands
lie evenly round 0, low is almost -high, so its lanes start from 0 and need high <= 32767 and low >= -32768.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 255  # a length is one byte
Integers = NDArray[np.int64]


def lane_extremes(weights: Integers, operands: tuple[int, int], lane: int) -> tuple[Integers, Integers]:
    """[..., columns, 4] → per column and lane of `lane` products the greatest and the least sum."""
    least, greatest = operands
    products = weights.reshape(*weights.shape[:-1], -1, lane)
    positive, negative = np.maximum(products, 0).sum(-1), np.maximum(-products, 0).sum(-1)
    return greatest * positive - least * negative, least * positive - greatest * negative


def flush_schedules(
    weights: Integers, operands: tuple[int, int], lane: int, biased: bool
) -> list[list[int]] | None:
    """For every tile, the lengths of the groups of steps between flushes in one run.

    weights: [tiles, steps, columns, 4]. operands: the least and the greatest. lane: products that a step
    adds to one lane. biased: lanes start from the middle, else from 0. Returns None when a single step may
    already overflow.
    """
    most, least = lane_extremes(weights, operands, lane)
    if _overflows(most, least, biased=False).any():
        return None
    tiles, steps = weights.shape[:2]
    found: list[list[int]] = [[] for _ in range(tiles)]
    high, low, length = np.zeros_like(most[:, 0]), np.zeros_like(least[:, 0]), np.zeros(tiles, np.int64)
    for step in range(steps):
        high, low = high + most[:, step], low + least[:, step]
        flush = (length > 0) & (_overflows(high, low, biased) | (length == LONGEST))
        for tile in np.flatnonzero(flush):
            found[tile].append(int(length[tile]))
        high[flush], low[flush] = most[flush, step], least[flush, step]
        length = np.where(flush, 1, length + 1)
    return [[*lengths, int(last)] for lengths, last in zip(found, length, strict=True)]


def _overflows(high: Integers, low: Integers, biased: bool) -> NDArray[np.bool_]:
    """Whether any lane [..., columns, lanes] can leave 16 bits."""
    beyond = high - low > 65535 if biased else (high > 32767) | (low < -32768)
    return np.asarray(beyond.any(axis=(-1, -2)))


def biases(weights: Integers, lengths: list[int], operands: tuple[int, int], lane: int) -> Integers:
    """Where the lanes of every group start: [groups, columns, lanes].

    weights: one tile's, [steps, columns, 4]. A bias may leave 16 bits where all products have one sign; lanes
    then start from what 16 bits keep of it.
    """
    starts = np.cumsum([0, *lengths[:-1]])
    high, low = (np.add.reduceat(v, starts, axis=0) for v in lane_extremes(weights, operands, lane))
    found: Integers = -((low + high + 1) // 2)
    return found
