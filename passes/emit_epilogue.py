"""The fused end of an integer operation as one linalg.generic: what `Epilogue.apply` computes, to the bit."""

from __future__ import annotations

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, math
from numpy.typing import NDArray

from quantune.ir import build, values
from quantune.numerics.epilogue import Epilogue


def emit_epilogue(
    accumulated: ir.Value,
    epilogue: Epilogue,
    correction: NDArray[np.int32] | None = None,
    residual: ir.Value | None = None,
) -> ir.Value:
    """i32 [..., F] → i8 storage or f32 of the same shape.

    `correction` is added to the accumulators first; `residual` is i8 storage or f32. Fused multiply-adds are
    written out, because IREE contracts a product and a sum that stand side by side wherever it pleases.
    """
    channels = values.shape(accumulated)[-1]
    ins = [accumulated]
    for vector in (correction, epilogue.multiplier, epilogue.offset):
        if vector is not None:
            ins.append(build.constant(np.ascontiguousarray(np.broadcast_to(vector, channels))))
    if residual is not None:
        ins.append(residual)

    def compute(acc: ir.Value, *rest: ir.Value) -> ir.Value:
        operands = list(rest)
        if correction is not None:
            acc = arith.AddIOp(acc, operands.pop(0)).result
        v = math.FmaOp(arith.SIToFPOp(build.f32(), acc).result, operands[0], operands[1]).result
        if residual is not None and epilogue.residual_multiplier is not None:
            v = math.FmaOp(
                as_real(operands[2]), build.scalar(float(epilogue.residual_multiplier), build.f32()), v
            ).result
        if epilogue.output is not None:
            v = math.RoundEvenOp(v).result
        v = _bounded(v, epilogue.low, epilogue.high)
        return v if epilogue.output is None else as_storage(v)

    element = build.f32() if epilogue.output is None else build.integer(8)
    return build.elementwise(ins, element, compute)


def as_real(value: ir.Value) -> ir.Value:
    """Unsigned storage to f32 (exact); f32 as it is."""
    if not isinstance(value.type, ir.IntegerType):
        return value
    return arith.UIToFPOp(build.f32(), arith.ExtUIOp(build.integer(32), value).result).result


def as_storage(value: ir.Value) -> ir.Value:
    """A whole number 0..255 in f32 to i8."""
    return arith.TruncIOp(build.integer(8), arith.FPToSIOp(build.integer(32), value).result).result


def quantize_real(value: ir.Value, multiplier: np.float32, offset: np.float32, maximum: int) -> ir.Value:
    """clamp(rint(fma(value, multiplier, offset)), 0, maximum) as i8."""
    constants = [build.scalar(float(number), build.f32()) for number in (multiplier, offset)]
    rounded = math.RoundEvenOp(math.FmaOp(value, *constants).result).result
    return as_storage(_bounded(rounded, np.float32(0), np.float32(maximum)))


def _bounded(value: ir.Value, low: np.float32 | None, high: np.float32 | None) -> ir.Value:
    if low is not None:
        value = arith.MaximumFOp(value, build.scalar(float(low), build.f32())).result
    if high is not None:
        value = arith.MinimumFOp(value, build.scalar(float(high), build.f32())).result
    return value
