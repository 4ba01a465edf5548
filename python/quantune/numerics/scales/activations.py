"""Activations: unsigned, per tensor, affine."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantune.errors import QuantuneError
from quantune.numerics.fma import fma
from quantune.numerics.scales.weights import SMALLEST, snap_scale
from quantune.plan.schema import Quantization
from quantune.plan.settings import Scheme


def quantization_from_range(lo: float, hi: float, bits: int, scheme: Scheme = "asymmetric") -> Quantization:
    """Covers [lo, hi], widened to include 0, so that zero is exact; scale 1, zero point 0 for a zero range.

    The zero point is where the range puts it (asymmetric), 2**(bits - 1) (symmetric; power-of-two: with the
    least power of two that covers the range as scale), or that if lo < 0, else 0 (symmetric-unsigned).

    Raises QuantuneError when a bound is NaN or infinite or lo > hi.
    """
    if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
        raise QuantuneError(
            f"the range [{lo}, {hi}] cannot be quantized; check the calibration data for NaN or infinity"
        )
    lo, hi = min(float(lo), 0.0), max(float(hi), 0.0)
    maximum = (1 << bits) - 1
    if snap_scale((hi - lo) / maximum) < SMALLEST:
        return Quantization(bits, 1.0, 0)
    if scheme == "asymmetric" or (scheme == "symmetric-unsigned" and lo == 0):
        scale = snap_scale((hi - lo) / maximum)
        zero_point = int(min(max(np.rint(-lo / scale), 0), maximum))
        return Quantization(bits, scale, zero_point)
    middle = 1 << (bits - 1)
    scale = max(-lo / middle, hi / (maximum - middle))
    if scheme == "power-of-two":
        scale = 2.0 ** math.ceil(math.log2(scale))
    return Quantization(bits, snap_scale(scale), middle)


def quantize(x: ArrayLike, quantization: Quantization) -> NDArray[np.uint8]:
    """clamp(rint(fma(x, f32(1 / scale), f32(zero_point))), 0, 2**bits - 1), half to even; 1/scale in f64."""
    x = np.asarray(x, dtype=np.float32)
    v = fma(x, np.float32(1.0 / quantization.scale), np.float32(quantization.zero_point))
    return np.clip(np.rint(v), 0, quantization.maximum).astype(np.uint8)


def dequantize(q: NDArray[np.uint8], quantization: Quantization) -> NDArray[np.float32]:
    """f32(scale) * f32(q - zero_point): the difference is exact, so the product is the only rounding."""
    difference = q.astype(np.float32) - np.float32(quantization.zero_point)
    return difference * np.float32(quantization.scale)
