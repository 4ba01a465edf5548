"""Activations: unsigned, per tensor, affine."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantune.errors import QuantuneError
from quantune.numerics.fma import fma
from quantune.numerics.weights import SMALLEST, snap_scale
from quantune.plan.schema import Quantization


def quantization_from_range(lo: float, hi: float, bits: int) -> Quantization:
    """Covers [lo, hi], widened to include 0, so that zero is exact; scale 1, zero point 0 for a zero range.

    Raises QuantuneError when a bound is NaN or infinite or lo > hi.
    """
    if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
        raise QuantuneError(
            f"the range [{lo}, {hi}] cannot be quantized; check the calibration data for NaN or infinity"
        )
    lo, hi = min(float(lo), 0.0), max(float(hi), 0.0)
    maximum = (1 << bits) - 1
    scale = snap_scale((hi - lo) / maximum)
    if scale < SMALLEST:
        return Quantization(bits, 1.0, 0)
    zero_point = int(min(max(np.rint(-lo / scale), 0), maximum))
    return Quantization(bits, scale, zero_point)


def quantize(x: ArrayLike, quantization: Quantization) -> NDArray[np.uint8]:
    """clamp(rint(fma(x, f32(1 / scale), f32(zero_point))), 0, 2**bits - 1), half to even; 1/scale in f64."""
    x = np.asarray(x, dtype=np.float32)
    v = fma(x, np.float32(1.0 / quantization.scale), np.float32(quantization.zero_point))
    return np.clip(np.rint(v), 0, quantization.maximum).astype(np.uint8)


def dequantize(q: NDArray[np.uint8], quantization: Quantization) -> NDArray[np.float32]:
    """f32(scale) * f32(q - zero_point): the difference is exact, so the product is the only rounding."""
    difference = q.astype(np.float32) - np.float32(quantization.zero_point)
    return difference * np.float32(quantization.scale)
