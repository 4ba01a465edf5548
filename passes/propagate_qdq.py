"""propagate-qdq."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, linalg

from quantune.ir import build, match, quant, values
from quantune.numerics.epilogue import clamp_bounds
from quantune.passes.base import Pass, Report
from quantune.plan.schema import Quantization


@dataclass(frozen=True)
class PropagateQdq(Pass):
    """Moves dequantization below operations that only move or select values: these then work on integers.

    Padding pads with the zero point (or the quantized filler), max-pooling takes the unsigned maximum, a
    clamp clips to quantized bounds, reshapes, transposes, slices and concatenations of equal types just move
    bytes. The dequantize then meets the quantize behind the operation, and `cancel-qdq` removes both.

    Before:
        %1 = quant.dcast %q : tensor<1x8x8x4x!quant.uniform<u8:f32, 0.1:3>> to tensor<1x8x8x4xf32>
        %2 = tensor.pad %1 low[0, 1, 1, 0] high[0, 1, 1, 0] { yield 0.0 }
    After:
        %1 = quant.scast %q : … to tensor<1x8x8x4xi8>
        %2 = tensor.pad %1 low[0, 1, 1, 0] high[0, 1, 1, 0] { yield 3 : i8 }
        %3 = quant.scast %2
        %4 = quant.dcast %3

    Left alone: float layers, operations with an operand that is not dequantized, concatenations of different
    types.
    """

    def apply(self, module: ir.Module) -> Report:
        moved = 0
        for op in values.operations(values.main_function(module)):
            if quant.precision_of(op) == "integer" and (rule := _rule(op)) is not None:
                moved += _propagate(op, rule)
        return {"moved": moved}


Rule = Callable[[ir.Operation, list[ir.Value], Quantization], ir.Value]


def _rule(op: ir.Operation) -> Rule | None:
    if op.name == "linalg.generic":
        return _clamp if match.clamp_bounds(op) is not None else None
    return _RULES.get(op.name)


def _propagate(op: ir.Operation, rule: Rule) -> bool:
    """Rewrites one operation onto storage; False if an operand is not dequantized or the types differ."""
    data = [op.operands[0]]
    if op.name == "tensor.concat":
        data = list(op.operands)
    elif op.name == "linalg.generic":
        data = [match.clamp_input(op)]
    sources = [quant.quantized_source(value) for value in data]
    if (
        any(s is None for s in sources)
        or len({str(values.element_type(s)) for s in sources if s is not None}) != 1
    ):
        return False
    quantized = [s for s in sources if s is not None]
    element = values.element_type(quantized[0])
    with ir.InsertionPoint(op), op.location:
        stored = rule(op, [quant.storage(q) for q in quantized], quant.activation_quantization(element))
        tag(stored, op)
        result = quant.dequantize(quant.from_storage(stored, element))
    op.results[0].replace_all_uses_with(result)
    op.erase()
    return True


def tag(value: ir.Value, op: ir.Operation) -> None:
    """The operation behind `value` takes over the layer of `op`."""
    made = values.defining(value)
    for key in (values.LAYER, quant.PRECISION):
        if made is not None and key in op.attributes:
            made.attributes[key] = op.attributes[key]


def _pad(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    padding = match.padding_of(op)
    assert padding is not None
    low, high, filler = padding
    exact = np.clip(np.rint(filler / quantization.scale + quantization.zero_point), 0, quantization.maximum)
    return build.pad(stored[0], low, high, build.scalar(_signless(int(exact)), build.integer(8)))


def _max_pool(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    init = build.filled(0, values.shape(op.results[0]), build.integer(8))
    window = build.empty(values.shape(op.operands[1]), build.integer(8))
    strides, dilations = values.window_steps(op)
    return linalg.pooling_nhwc_max_unsigned(
        stored[0], window, outs=[init], strides=strides, dilations=dilations
    )


def _clamp(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    low, high = clamp_bounds(match.clamp_bounds(op) or (-np.inf, np.inf), quantization)
    i8 = build.integer(8)
    bounds = [build.scalar(_signless(int(b)), i8) for b in (low, high) if b is not None]
    return build.elementwise(
        stored, i8, lambda x: arith.MinUIOp(arith.MaxUIOp(x, bounds[0]).result, bounds[1]).result
    )


def _reshape(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    groups = [values.integers(group) for group in op.attributes["reassociation"]]
    if op.name == "tensor.collapse_shape":
        return build.collapse(stored[0], groups)
    return build.expand(stored[0], groups, values.shape(op.results[0]))


def _transpose(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    return build.transpose(stored[0], values.integers(op.attributes["permutation"]))


def _slice(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    parts = [values.integers(op.attributes[f"static_{name}"]) for name in ("offsets", "sizes", "strides")]
    return build.extract_slice(stored[0], *parts)


def _concat(op: ir.Operation, stored: list[ir.Value], quantization: Quantization) -> ir.Value:
    return build.concat(stored, int(op.attributes["dim"].value))


def _signless(value: int) -> int:
    """0..255 as the signed number with the same eight bits."""
    return value - 256 if value > 127 else value


_RULES: dict[str, Rule] = {
    "tensor.pad": _pad,
    "linalg.pooling_nhwc_max": _max_pool,
    "tensor.collapse_shape": _reshape,
    "tensor.expand_shape": _reshape,
    "linalg.transpose": _transpose,
    "tensor.extract_slice": _slice,
    "tensor.concat": _concat,
}
