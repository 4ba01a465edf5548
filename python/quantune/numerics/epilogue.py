"""From an integer accumulator to the stored value: v = fma(f32(acc), m, b), + residual, rint, clamp.

Constants are computed in f64 from the plan's scales and rounded once to f32. `rint` rounds halves to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Layer
from quantune.numerics.fma import fma
from quantune.plan.schema import Quantization

NO_CLAMP = (-np.inf, np.inf)


@dataclass(frozen=True)
class Epilogue:
    """The fused end of an integer operation.

    Attributes:
        multiplier, offset: f32 [F] (or [1] where all channels share one): m and b.
        residual_multiplier: f32, or None without a residual.
        low, high: f32 bounds; whole numbers within 0..maximum when quantized, else the float clamp or None.
        output: quantization of the stored value; None means that v itself is delivered in f32.
    """

    multiplier: NDArray[np.float32]
    offset: NDArray[np.float32]
    residual_multiplier: np.float32 | None
    low: np.float32 | None
    high: np.float32 | None
    output: Quantization | None

    def apply(
        self, acc: NDArray[Any], residual: NDArray[Any] | None = None
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        """acc: integers [..., F]; residual: u8 or f32, same shape. Returns u8, or f32 without `output`.

        f32(acc) rounds to nearest even where |acc| > 2**24, as `arith.sitofp` does.
        """
        if (residual is None) != (self.residual_multiplier is None):
            raise ValueError("a residual input and a residual multiplier come together")
        v = fma(acc.astype(np.float32), self.multiplier, self.offset)
        if residual is not None and self.residual_multiplier is not None:
            v = fma(residual.astype(np.float32), self.residual_multiplier, v)
        if self.output is not None:
            return np.clip(np.rint(v), self.low, self.high).astype(np.uint8)
        if self.low is not None:
            v = np.maximum(v, self.low)
        return v if self.high is None else np.minimum(v, self.high)


def clamp_bounds(
    clamp: tuple[float, float], output: Quantization | None
) -> tuple[np.float32 | None, np.float32 | None]:
    """The clamp in stored units, rint(bound / s + z) in 0..maximum; without `output` its finite bounds."""
    if output is None:
        low, high = (None if np.isinf(bound) else np.float32(bound) for bound in clamp)
        return low, high
    low, high = (
        np.float32(np.clip(np.rint(bound / output.scale + output.zero_point), 0, output.maximum))
        for bound in clamp
    )
    return low, high


def contraction_epilogue(
    layer: Layer,
    weight_q: NDArray[np.int8],
    weight_scales: NDArray[np.float64],
    input: Quantization,
    residual: Quantization | None,
    output: Quantization | None,
) -> Epilogue:
    """For an accumulator that sums x_q * w_q over the padded input, whose border holds the zero point.

    m = s_x s_w / s_y and b = (bias - s_x s_w z_x sum(w_q)) / s_y + z_y - m_r z_r, with m_r = s_r / s_y;
    s_y = 1 and z_y = 0 without `output`. A fused residual with `residual=None` is read in f32: m_r = 1 / s_y,
    z_r = 0.
    weight_q's last axis and weight_scales run over the output channels.
    """
    scale, zero = (1.0, 0) if output is None else (output.scale, output.zero_point)
    products = input.scale * np.asarray(weight_scales, dtype=np.float64)
    sums = weight_q.astype(np.int64).sum(axis=tuple(range(weight_q.ndim - 1)))
    bias = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
    offset = (bias - products * input.zero_point * sums) / scale + zero
    residual_multiplier = None
    if layer.residual:
        residual_scale, residual_zero = (
            (1.0, 0) if residual is None else (residual.scale, residual.zero_point)
        )
        offset = offset - (residual_scale / scale) * residual_zero
        residual_multiplier = np.float32(residual_scale / scale)
    low, high = clamp_bounds(layer.clamp, output)
    return Epilogue(
        (products / scale).astype(np.float32),
        offset.astype(np.float32),
        residual_multiplier,
        low,
        high,
        output,
    )


def add_epilogue(
    a: Quantization, b: Quantization, output: Quantization | None, clamp: tuple[float, float] = NO_CLAMP
) -> Epilogue:
    """An add of two stored inputs: `apply(a_q, b_q)`, that is v = fma(b_q, m_b, fma(a_q, m_a, offset))."""
    scale, zero = (1.0, 0) if output is None else (output.scale, output.zero_point)
    m_a, m_b = a.scale / scale, b.scale / scale
    offset = zero - m_a * a.zero_point - m_b * b.zero_point
    low, high = clamp_bounds(clamp, output)
    return Epilogue(_one(m_a), _one(offset), np.float32(m_b), low, high, output)


def average_epilogue(
    count: int,
    input: Quantization,
    output: Quantization | None,
    clamp: tuple[float, float] = NO_CLAMP,
    divisor: float | None = None,
) -> Epilogue:
    """A mean: acc is the sum of `count` stored values, padding (which holds the zero point) included.

    m = s_x / (s_y divisor), b = z_y - m count z_x; `divisor` is `count` unless the model overrides it.
    """
    scale, zero = (1.0, 0) if output is None else (output.scale, output.zero_point)
    m = input.scale / (scale * (count if divisor is None else divisor))
    low, high = clamp_bounds(clamp, output)
    return Epilogue(_one(m), _one(zero - m * count * input.zero_point), None, low, high, output)


def quantize_epilogue(output: Quantization) -> Epilogue:
    """Real values to stored ones: `apply(x)` is `quantize(x, output)`."""
    return Epilogue(
        _one(1.0 / output.scale), _one(output.zero_point), None, *clamp_bounds(NO_CLAMP, output), output
    )


def requantize_epilogue(source: Quantization, output: Quantization) -> Epilogue:
    """Stored values of one quantization to another's: `apply(q)` is `requantize(q, source, output)`."""
    multiplier, offset = (np.array([constant]) for constant in requantize_constants(source, output))
    return Epilogue(multiplier, offset, None, *clamp_bounds(NO_CLAMP, output), output)


def requantize_constants(source: Quantization, target: Quantization) -> tuple[np.float32, np.float32]:
    """(m, b) with target_q = clamp(rint(fma(f32(source_q), m, b)), 0, maximum)."""
    m = source.scale / target.scale
    return np.float32(m), np.float32(target.zero_point - m * source.zero_point)


def requantize(q: NDArray[np.uint8], source: Quantization, target: Quantization) -> NDArray[np.uint8]:
    """Stored values of `source` as stored values of `target`; the identity when both are the same."""
    if source == target:
        return q
    m, b = requantize_constants(source, target)
    return np.clip(np.rint(fma(q.astype(np.float32), m, b)), 0, target.maximum).astype(np.uint8)


def _one(value: float) -> NDArray[np.float32]:
    return np.array([value], dtype=np.float32)
