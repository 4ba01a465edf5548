"""The rounding rules against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantune import numerics
from quantune.errors import PlanError, QuantuneError
from quantune.graph.model import Layer
from quantune.numerics.scales.weights import CLIPPED_BITS
from quantune.plan.schema import LayerPlan, Quantization

F32 = NDArray[np.float32]
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
LARGEST = Fraction(float(np.finfo(np.float32).max))


def round_to_f32(exact: Fraction) -> float:
    """Nearest f32, ties to even, from first principles: integers and powers of two only."""
    if exact == 0:
        return 0.0
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    ulp = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = round(magnitude / ulp) * ulp  # Python rounds a Fraction half to even
    result = math.inf if rounded > LARGEST else float(rounded)
    return math.copysign(result, exact)


def exact_fma(x: Any, y: Any, z: Any) -> float:
    return round_to_f32(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)))


def check_fma(x: F32, y: F32, z: F32) -> int:
    """Asserts equality everywhere; returns on how many operands a plain f64 sum would have gone wrong."""
    got = numerics.fma(x, y, z)
    for index in range(x.size):
        expected = exact_fma(x[index], y[index], z[index])
        assert float(got[index]) == expected, [float(v[index]).hex() for v in (x, y, z)]
    with np.errstate(over="ignore", under="ignore"):
        naive = (x.astype(np.float64) * y + z).astype(np.float32)
    return int((naive != got).sum())


@settings(max_examples=1500, deadline=None)
@given(FLOATS, FLOATS, FLOATS)
def test_fma_of_any_floats(x: float, y: float, z: float) -> None:
    a, b, c = (np.array([v], dtype=np.float32) for v in (x, y, z))
    check_fma(a, b, c)


def random_floats(rng: np.random.Generator, size: int, low: int, high: int) -> F32:
    """Random mantissas with exponents in [low, high); sparse mantissas half of the time, to meet ties."""
    mantissa = rng.integers(0, 1 << 23, size)
    mantissa &= np.where(rng.random(size) < 0.5, -1, (-1 << rng.integers(8, 23, size)))
    bits = (rng.integers(low + 127, high + 127, size) << 23) | mantissa | (rng.integers(0, 2, size) << 31)
    return bits.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("product", "addend"), [((-3, 3), (-30, 30)), ((-75, -60), (-149, -120)), ((50, 64), (90, 127))]
)
def test_fma_of_random_floats(product: tuple[int, int], addend: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x, y = (random_floats(rng, 20_000, *product) for _ in range(2))
    z = random_floats(rng, 20_000, max(addend[0], -127), addend[1])
    check_fma(x, y, z)


def test_fma_where_double_rounding_fails() -> None:
    """Products on or beside a tie of f32 plus an addend too small for f64: only round-to-odd helps."""
    rng = np.random.default_rng(2)
    size = 20_000
    # (2**12 + i)(2**12 + j) has up to 26 bits: a product one or two bits beyond f32.
    x = (rng.integers(1 << 12, 1 << 13, size)).astype(np.float32)
    y = (rng.integers(1 << 12, 1 << 13, size)).astype(np.float32)
    z = random_floats(rng, size, -70, -20)
    assert check_fma(x, y, z) > size // 50


@pytest.mark.parametrize("scale", [2.0**-126, 2.0**-140, 2.0**-149])
def test_fma_of_subnormals(scale: float) -> None:
    rng = np.random.default_rng(3)
    z = (rng.integers(-(1 << 9), 1 << 9, 5000) * scale).astype(np.float32)
    x = (rng.integers(-(1 << 12), 1 << 12, 5000) * 2.0**-76).astype(np.float32)
    y = (rng.integers(-(1 << 12), 1 << 12, 5000) * 2.0**-76).astype(np.float32)
    assert (x.astype(np.float64) * y != 0).any()
    check_fma(x, y, z)


def test_fma_broadcasts_and_keeps_infinities() -> None:
    inf = np.float32(np.inf)
    assert numerics.fma(inf, np.float32(1), np.float32(1)) == inf
    assert np.isnan(numerics.fma(inf, np.float32(1), -inf))
    assert numerics.fma(np.float32(3e38), np.float32(3e38), np.float32(1)) == inf
    assert numerics.fma(np.float32(3e38), np.float32(2), np.float32(-3e38)) == np.float32(3e38)
    got = numerics.fma(np.ones((4, 3), np.float32), np.arange(3, dtype=np.float32), np.float32(1))
    assert got.dtype == np.float32 and np.array_equal(got, np.tile([1, 2, 3], (4, 1)))
    with pytest.raises(TypeError, match="float64"):
        numerics.fma(np.zeros(2), np.float32(1), np.float32(1))


@given(st.floats(1e-30, 1e30), st.floats(1e-30, 1e30))
def test_snapped_scales_round_trip_monotonely(x: float, y: float) -> None:
    snapped = numerics.snap_scale(x)
    assert snapped > 0 and abs(snapped / x - 1) < 5.1e-7
    assert numerics.snap_scale(snapped) == snapped == float(f"{snapped:.6e}")
    assert (x <= y) <= (snapped <= numerics.snap_scale(y))


@given(FLOATS.filter(lambda v: abs(v) < 1e30), FLOATS.filter(lambda v: abs(v) < 1e30), st.integers(2, 8))
def test_ranges_cover_zero_exactly(a: float, b: float, bits: int) -> None:
    lo, hi = min(a, b), max(a, b)
    q = numerics.quantization_from_range(lo, hi, bits)
    assert numerics.dequantize(numerics.quantize(np.zeros(1), q), q)[0] == 0
    ends = np.array([lo, hi], dtype=np.float32)
    error = np.abs(numerics.dequantize(numerics.quantize(ends, q), q) - ends)
    assert (error <= q.scale * (1 + 1e-3)).all()  # the zero point's rounding may cost a step at an end
    if lo >= 0:
        assert q.zero_point == 0
    elif hi <= 0 and q.scale != 1.0:
        assert q.zero_point == q.maximum


@pytest.mark.parametrize("edge", [np.nan, np.inf])
def test_impossible_ranges_are_refused(edge: float) -> None:
    with pytest.raises(QuantuneError, match="range"):
        numerics.quantization_from_range(-1.0, edge, 8)
    with pytest.raises(QuantuneError, match="range"):
        numerics.quantization_from_range(2.0, 1.0, 8)


def test_zero_ranges_get_scale_one() -> None:
    for hi in (0.0, 1e-38):
        assert numerics.quantization_from_range(0.0, hi, 8) == Quantization(8, 1.0, 0)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_quantize_is_the_rounded_fma(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = numerics.quantization_from_range(float(-rng.random() * 3), float(rng.random() * 3), bits)
    x = (rng.normal(size=64) * 2).astype(np.float32)
    inverse, zero = np.float32(1 / q.scale), np.float32(q.zero_point)
    expected = [min(max(round(exact_fma(v, inverse, zero)), 0), q.maximum) for v in x]
    assert numerics.quantize(x, q).tolist() == expected
    stored = np.arange(q.maximum + 1, dtype=np.uint8)
    assert np.array_equal(numerics.quantize(numerics.dequantize(stored, q), q), stored)


def test_weights_use_the_whole_range_of_their_channel() -> None:
    rng = np.random.default_rng(4)
    w = (rng.normal(size=(3, 3, 8, 5)) * [1, 10, 0, 1e-3, 1]).astype(np.float32)
    for bits in range(2, 9):
        scales = numerics.weight_scales(w, bits)
        q = numerics.quantize_weights(w, scales, bits)
        limit = 2 ** (bits - 1) - 1
        peaks = np.abs(q.astype(int)).max(axis=(0, 1, 2))
        assert q.dtype == np.int8 and peaks.tolist() == [limit, limit, 0, limit, limit] and scales[2] == 1
        inside = np.abs(w) <= scales * limit * 1.0001
        assert inside.all() or bits <= CLIPPED_BITS
        assert (np.abs(q * scales - w)[inside] <= np.broadcast_to(scales, w.shape)[inside] / 2 * 1.0002).all()


def test_weights_along_another_axis_round_half_to_even() -> None:
    w = np.array([[2.5, -0.5, 127], [0.25, 0.75, -63.5]], dtype=np.float32)
    scales = numerics.weight_scales(w, 8, channel_axis=0)
    assert scales.tolist() == [1.0, 0.5]
    assert numerics.quantize_weights(w, scales, 8, channel_axis=0).tolist() == [[2, 0, 127], [0, 2, -127]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_broken_weights_are_named(bad: float) -> None:
    w = np.ones((4, 3), dtype=np.float32)
    w[1, 2] = bad
    with pytest.raises(QuantuneError, match=r"fc: weights of output channel 2 are NaN or infinite"):
        numerics.weight_scales(w, 8, name="fc")


def linear(clamp: tuple[float, float] = (-np.inf, np.inf), residual: bool = False, seed: int = 5) -> Layer:
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(16, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    names = ("x", "r") if residual else ("x",)
    return Layer("fc", "linear", names, (1, 6), clamp=clamp, residual=residual, weight=weight, bias=bias)


def test_layer_weights_follow_the_plan() -> None:
    layer = linear()
    assert layer.weight is not None
    q, scales = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=4))
    assert np.abs(q).max() == 7 and np.array_equal(scales, numerics.weight_scales(layer.weight, 4))
    q, scales = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=4, weight_scales=(0.1,) * 6))
    assert np.array_equal(q, np.clip(np.rint(layer.weight.astype(np.float64) / 0.1), -7, 7))
    _, scales = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=4, weight_scales=(1 / 3,) * 6))
    assert scales.tolist() == [0.3333333] * 6
    with pytest.raises(PlanError, match=r"fc.*weight_bits"):
        numerics.layer_weights(layer, LayerPlan("integer"))
    with pytest.raises(PlanError, match="fc: weight_scales must be 6"):
        numerics.layer_weights(layer, LayerPlan("integer", weight_bits=4, weight_scales=(0.1,) * 5))


X, R, Y = Quantization(8, 0.03, 100), Quantization(6, 0.1, 20), Quantization(8, 0.07, 90)


@pytest.mark.parametrize("output", [Y, None])
@pytest.mark.parametrize("residual", [None, R, "float"])
@pytest.mark.parametrize("clamp", [(-np.inf, np.inf), (0, np.inf), (0, 6)])
def test_contraction_epilogue_is_the_real_arithmetic(
    output: Quantization | None, residual: Quantization | str | None, clamp: tuple[float, float]
) -> None:
    """Against the same expression over the reals, within one step and nearly always exactly."""
    rng = np.random.default_rng(6)
    layer = linear(clamp, residual is not None)
    weight_q, scales = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=8))
    r_plan = residual if isinstance(residual, Quantization) else None
    epilogue = numerics.contraction_epilogue(layer, weight_q, scales, X, r_plan, output)
    x = rng.integers(0, 256, (200, 16)).astype(np.uint8)
    real = (X.scale * (x.astype(np.float64) - X.zero_point)) @ (weight_q * scales)
    real += 0 if layer.bias is None else layer.bias
    r = None
    if r_plan is not None:
        r = rng.integers(0, r_plan.maximum + 1, real.shape).astype(np.uint8)
        real += r_plan.scale * (r.astype(np.float64) - r_plan.zero_point)
    elif residual is not None:
        r = rng.normal(size=real.shape).astype(np.float32)
        real += r
    got = epilogue.apply(x.astype(np.int32) @ weight_q.astype(np.int32), r)
    if output is None:
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.clip(real, *clamp), atol=2e-5)
        return
    low, high = (np.clip(np.rint(b / output.scale + output.zero_point), 0, 255) for b in clamp)
    expected = np.clip(np.rint(real / output.scale + output.zero_point), low, high)
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= 1 and (difference == 0).mean() > 0.995 and int(np.ptp(got)) > 30


def test_epilogue_is_two_fused_multiply_adds() -> None:
    layer = linear(residual=True)
    weight_q, scales = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=8))
    epilogue = numerics.contraction_epilogue(layer, weight_q, scales, X, R, Y)
    rng = np.random.default_rng(7)
    acc = rng.integers(-(2**15), 2**15, (50, 6)).astype(np.int32)
    acc[0] = 2**24 + 1  # not an f32: ties to even, 2**24
    r = rng.integers(0, 64, acc.shape).astype(np.uint8)
    got = epilogue.apply(acc, r)
    assert epilogue.residual_multiplier is not None
    for (row, column), value in np.ndenumerate(got):
        m, b = epilogue.multiplier[column], epilogue.offset[column]
        v = exact_fma(np.float32(round_to_f32(Fraction(int(acc[row, column])))), m, b)
        v = exact_fma(np.float32(r[row, column]), epilogue.residual_multiplier, np.float32(v))
        assert value == min(max(round(v), 0), 255)
    with pytest.raises(ValueError, match="residual"):
        epilogue.apply(acc)


def test_clamp_bounds() -> None:
    bounds: Any = numerics.clamp_bounds
    assert bounds((-np.inf, np.inf), Y) == (0, 255)
    assert bounds((0, 6), Y) == (90, 176)  # 6 / 0.07 + 90 = 175.7
    assert bounds((0, 6), None) == (0, 6)
    assert bounds((0, np.inf), None) == (0, None)
    assert bounds((0, 6), Quantization(4, 0.01, 3)) == (3, 15)


def test_add_average_and_requantize_are_the_real_arithmetic() -> None:
    a, b = (np.repeat(np.arange(256), 64), np.tile(np.arange(64), 256))
    real = X.scale * (a - 100.0) + R.scale * (b - 20.0)
    got = numerics.add_epilogue(X, R, Y, (0, np.inf)).apply(a, b)
    exact = np.clip(np.rint(real / Y.scale + 90), 90, 255)
    assert np.abs(got - exact).max() <= 1 and (got == exact).mean() > 0.99
    np.testing.assert_allclose(numerics.add_epilogue(X, R, None).apply(a, b), real, atol=1e-5)

    total = np.arange(0, 49 * 256, 7)
    mean = X.scale * (total / 49 - 100)
    got = numerics.average_epilogue(49, X, Y).apply(total)
    exact = np.clip(np.rint(mean / Y.scale + 90), 0, 255)
    assert np.abs(got - exact).max() <= 1 and (got == exact).mean() > 0.99
    same = numerics.average_epilogue(4, X, X).apply(np.arange(256) * 4)
    assert np.array_equal(same, np.arange(256))
    halved = numerics.average_epilogue(4, X, None, divisor=8).apply(np.arange(0, 1020))
    np.testing.assert_allclose(halved, X.scale * (np.arange(0, 1020) - 400) / 8, atol=1e-5)

    q = np.arange(64, dtype=np.uint8)
    assert numerics.requantize(q, R, Quantization(6, 0.1, 20)) is q
    exact = np.clip(np.rint(R.scale * (q - 20.0) / Y.scale + 90), 0, 255)
    assert np.array_equal(numerics.requantize(q, R, Y), exact)
