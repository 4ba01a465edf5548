"""The f32 fused multiply-add, exactly, for numpy arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fma(x: ArrayLike, y: ArrayLike, z: ArrayLike) -> NDArray[np.float32]:
    """x * y + z in f32 with one rounding (to nearest, ties to even), as `fmadd` does; operands broadcast.

    The product of two f32 is exact in f64. Rounding the f64 sum to odd makes its second rounding harmless:
    S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
    odd", IEEE Transactions on Computers 57(4), 2008.
    """
    operands = [np.asarray(operand) for operand in (x, y, z)]
    for operand in operands:
        if operand.dtype != np.float32:
            raise TypeError(f"fma takes f32 operands, not {operand.dtype}")
    a, b, c = (operand.astype(np.float64) for operand in operands)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        total = np.atleast_1d(_sum_rounded_to_odd(a * b, c))
        return total.astype(np.float32).reshape(np.broadcast_shapes(*(o.shape for o in operands)))


def _sum_rounded_to_odd(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.atleast_1d(a + b)
    # Knuth's TwoSum: `error` is exactly (a + b) - total.
    part = total - a
    error = (a - (total - part)) + (b - part)
    bits = total.view(np.int64)
    # An inexact sum with an even last bit moves one step towards the exact value: its neighbour there is odd.
    # Infinite and NaN totals have a NaN error and stay as they are; a zero total is always exact.
    moves = np.isfinite(error) & (error != 0) & ((bits & 1) == 0)
    step = np.where((error > 0) == (total > 0), 1, -1)
    bits += np.where(moves, step, 0)
    return total
