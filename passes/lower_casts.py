"""lower-casts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith

from quantune.errors import UnsupportedError
from quantune.ir import build, quant, values
from quantune.numerics.epilogue import requantize_constants
from quantune.passes.base import Pass, Report, cleanup
from quantune.passes.emit_epilogue import as_real, quantize_real
from quantune.plan.schema import Quantization


@dataclass(frozen=True)
class LowerCasts(Pass):
    """Turns the remaining quantize and dequantize operations, borders of float islands, into arithmetic.

    quantize: clamp(rint(fma(x, 1/s, z))); dequantize: s * (q - z); a dequantize followed by a quantize: one
    requantization, clamp(rint(fma(q, s/s', z' - z s/s'))). After this pass no `quant` operation is left.

    Before:
        %1 = quant.qcast %x : tensor<1x8xf32> to tensor<1x8x!quant.uniform<u8:f32, 0.5:3>>
        %2 = quant.scast %1 : … to tensor<1x8xi8>
    After:
        %2 = linalg.generic ins(%x) { fma 2.0, 3.0; roundeven; clamp 0, 255; fptosi; trunci }

    Rejects: per-channel types (weights), which `lower-to-integer` should have consumed.
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        counts = {"quantize": 0, "dequantize": 0, "requantize": 0}
        stored: dict[ir.Value, ir.Value] = {}
        for op in values.operations(function):
            if not op.name.startswith("quant."):
                continue
            with ir.InsertionPoint(op), op.location:
                kind = _lower(op, stored)
            if kind:
                counts[kind] += 1
        for op in reversed(list(values.operations(function))):
            if op.name.startswith("quant."):
                op.erase()
        cleanup(module)
        return counts


def _lower(op: ir.Operation, stored: dict[ir.Value, ir.Value]) -> str:
    """Lowers one cast; `stored` maps quantized values to their storage. Returns what it was."""
    source, result = op.operands[0], op.results[0]
    if op.name == quant.STORAGE:
        if source in stored:
            result.replace_all_uses_with(stored[source])
        else:
            stored[result] = source
        return ""
    if op.name == quant.DEQUANTIZE:
        if not any(user.name != quant.QUANTIZE for user in values.users(result)):
            return ""  # read by requantizations only
        quantization = _activation(op, source)
        zero, scale = (np.float32(n) for n in (quantization.zero_point, quantization.scale))
        result_real = build.elementwise([stored[source]], build.f32(), lambda q: _dequantized(q, zero, scale))
        result.replace_all_uses_except(
            result_real, [u for u in values.users(result) if u.name == quant.QUANTIZE]
        )
        return "dequantize"
    target = _activation(op, result)
    earlier = quant.quantized_source(source)
    if earlier is not None:
        multiplier, offset = requantize_constants(_activation(op, earlier), target)
        source = stored[earlier]
    else:
        multiplier, offset = np.float32(1.0 / target.scale), np.float32(target.zero_point)
    stored[result] = build.elementwise(
        [source], build.integer(8), lambda x: quantize_real(as_real(x), multiplier, offset, target.maximum)
    )
    return "quantize" if earlier is None else "requantize"


def _dequantized(stored: ir.Value, zero: np.float32, scale: np.float32) -> ir.Value:
    difference = arith.SubFOp(as_real(stored), build.scalar(float(zero), build.f32())).result
    return arith.MulFOp(difference, build.scalar(float(scale), build.f32())).result


def _activation(op: ir.Operation, value: ir.Value) -> Quantization:
    try:
        return quant.activation_quantization(values.element_type(value))
    except ValueError as error:
        raise UnsupportedError(f"{values.describe(op)}: {error}; run lower-to-integer first") from None
