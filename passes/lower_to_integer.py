"""lower-to-integer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, linalg
from numpy.typing import NDArray

from quantune.errors import UnsupportedError
from quantune.graph.extract import anchor_of, epilogue_facts, layer_operations
from quantune.graph.model import Layer
from quantune.ir import build, match, quant, values
from quantune.numerics.epilogue import add_epilogue, average_epilogue, contraction_epilogue
from quantune.numerics.weights import quantize_weights
from quantune.passes.base import Pass, Report, cleanup
from quantune.passes.emit_epilogue import emit_epilogue
from quantune.plan.schema import Quantization


@dataclass(frozen=True)
class LowerToInteger(Pass):
    """Replaces integer layers by integer arithmetic with one fused epilogue.

    A contraction over dequantized inputs becomes a contraction on i8 with exact i32 accumulation; bias,
    residual addition, clamp and requantization become one elementwise epilogue in f32 with written-out fused
    multiply-adds (`docs/integer-semantics.md`). Activations are unsigned in i8 storage; the generated
    contraction is signed, so 128 is taken from 8-bit activations before it and 128 times each channel's
    weight sum is given back after it, exactly. Averages sum in i32; additions need the epilogue only. When
    nothing reads the result in integers, the epilogue delivers f32.

    Before:
        %1 = quant.dcast %x
        %2 = linalg.conv_2d_nhwc_hwcf ins(%1, %dequantized_weights) outs(%zero)
        %3 = linalg.generic ins(%2, %bias) { addf }
        %4 = quant.qcast %3
    After:
        %1 = linalg.generic ins(%x_storage) { xori -128 }
        %2 = linalg.conv_2d_nhwc_hwcf ins(%1, %weights : …xi8, …xi8) outs(%zero : …xi32)
        %3 = linalg.generic ins(%2, %sums, %multiplier, %offset)
               { addi, sitofp, fma, roundeven, clamp, fptosi, trunci }

    Left alone: float layers and whatever `propagate-qdq` already moved to storage.
    Rejects: an integer layer whose input is not quantized; a reduction so long that 32 bits could overflow.
    """

    def apply(self, module: ir.Module) -> Report:
        lowered: dict[str, int] = {}
        for group in layer_operations(module).values():
            anchor = anchor_of(group)
            rule = _rule(anchor)
            if quant.precision_of(anchor) != "integer" or rule is None:
                continue
            with ir.InsertionPoint(group[-1]), anchor.location:
                rule(_Group(group, anchor))
            lowered[anchor.name] = lowered.get(anchor.name, 0) + 1
        cleanup(module)
        return {"lowered": lowered}


class _Group:
    """A layer's operations with what the lowering asks about them."""

    def __init__(self, ops: list[ir.Operation], anchor: ir.Operation) -> None:
        self.ops, self.anchor, self.result = ops, anchor, ops[-1].results[0]
        self.bias, self.residual, self.clamp = epilogue_facts(ops, anchor)
        self.quantize = next((u for u in values.users(self.result) if u.name == quant.QUANTIZE), None)

    @property
    def output(self) -> Quantization | None:
        kind = None if self.quantize is None else values.element_type(self.quantize.results[0])
        return None if kind is None else quant.activation_quantization(kind)

    def source(self, operand: ir.Value) -> tuple[ir.Value, Quantization]:
        """(storage, quantization) of a dequantized operand."""
        quantized = quant.quantized_source(operand)
        if quantized is None:
            raise UnsupportedError(
                f"{values.describe(self.anchor)} is planned integer, but its input is not quantized; "
                "make it float"
            )
        return quant.storage(quantized), quant.activation_quantization(values.element_type(quantized))

    def finish(self, value: ir.Value) -> None:
        """Puts the new result, storage or f32, in the place of the old."""
        if self.quantize is None:
            self.result.replace_all_uses_with(value)
            return
        quantized = self.quantize.results[0]
        quantized.replace_all_uses_with(quant.from_storage(value, values.element_type(quantized)))
        self.quantize.erase()


def _contraction(group: _Group) -> None:
    anchor = group.anchor
    stored, source = group.source(anchor.operands[0])
    weight, scales = _quantized_weight(anchor)
    accumulated, sums = _accumulate(anchor, stored, weight, source)
    residual, residual_quantization = None, None
    if (other := _residual_value(group)) is not None:
        residual = other
        if quant.quantized_source(other) is not None:
            residual, residual_quantization = group.source(other)
    layer = Layer(
        name=str(values.layer_of(anchor)),
        kind="conv2d",
        inputs=(),
        output_shape=(),
        clamp=group.clamp,
        residual=residual is not None,
        bias=group.bias,
    )
    epilogue = contraction_epilogue(layer, weight, scales, source, residual_quantization, group.output)
    group.finish(emit_epilogue(accumulated, epilogue, sums, residual))


def _quantized_weight(anchor: ir.Operation) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    quantized = quant.quantized_source(anchor.operands[1])
    cast = None if quantized is None else values.defining(quantized)
    constant = None if cast is None else values.constant(cast.operands[0])
    if quantized is None or constant is None:
        raise UnsupportedError(
            f"{values.describe(anchor)} is planned integer, but its weights are not quantized; run insert-qdq"
        )
    bits, scales = quant.weight_quantization(values.element_type(quantized))
    exact = np.asarray(scales)
    return quantize_weights(constant.astype(np.float32, copy=False), exact, bits), exact


def _accumulate(
    anchor: ir.Operation, stored: ir.Value, weight: NDArray[np.int8], source: Quantization
) -> tuple[ir.Value, NDArray[np.int32] | None]:
    """(i32 accumulators, what to add per channel to undo the shift to signed activations)."""
    sums = weight.astype(np.int64).sum(axis=tuple(range(weight.ndim - 1)))
    largest = np.abs(weight.astype(np.int64)).sum(axis=tuple(range(weight.ndim - 1))).max(initial=0) * 256
    if largest > np.iinfo(np.int32).max:
        raise UnsupportedError(
            f"{values.describe(anchor)} could overflow 32-bit accumulators; make the layer float in the plan"
        )
    correction = None
    if source.maximum > 127:
        stored = _shifted(stored)
        correction = (128 * sums).astype(np.int32)
    init = build.filled(0, values.shape(anchor.results[0]), build.integer(32))
    operands = [stored, build.constant(weight)]
    if anchor.name == match.MATMUL:
        return linalg.matmul(*operands, outs=[init]), correction
    make = getattr(linalg, anchor.name.removeprefix("linalg."))
    strides, dilations = values.window_steps(anchor)
    return make(*operands, outs=[init], strides=strides, dilations=dilations), correction


def _shifted(stored: ir.Value) -> ir.Value:
    """Unsigned storage minus 128, as signed i8. Padding is redone around it, so that it fuses backwards."""
    sign = build.scalar(-128, build.integer(8))
    producer = values.defining(stored)
    padding = None if producer is None else match.padding_of(producer)
    if producer is None or padding is None:
        return build.elementwise([stored], build.integer(8), lambda x: arith.XOrIOp(x, sign).result)
    low, high, filler = padding
    inner = build.elementwise(
        [producer.operands[0]], build.integer(8), lambda x: arith.XOrIOp(x, sign).result
    )
    return build.pad(inner, low, high, build.scalar((int(filler) & 0xFF) - 128, build.integer(8)))


def _residual_value(group: _Group) -> ir.Value | None:
    value = group.anchor.results[0]
    for op in group.ops[group.ops.index(group.anchor) + 1 :]:
        if match.bias_operand(op, value) is None and (other := match.residual_operand(op, value)) is not None:
            return other
        value = op.results[0]
    return None


def _average(group: _Group) -> None:
    anchor = group.anchor
    stored, source = group.source(anchor.operands[0])
    wide = build.elementwise(
        [stored], build.integer(32), lambda x: arith.ExtUIOp(build.integer(32), x).result
    )
    init = build.filled(0, values.shape(anchor.results[0]), build.integer(32))
    if anchor.name == "linalg.pooling_nhwc_sum":
        dims = values.shape(anchor.operands[1])
        window = build.empty(dims, build.integer(32))
        strides, dilations = values.window_steps(anchor)
        total = linalg.pooling_nhwc_sum(wide, window, outs=[init], strides=strides, dilations=dilations)
    else:
        dims = values.shape(anchor.operands[0])[1:3]
        maps = [item.value for item in anchor.attributes["indexing_maps"]]
        total = build.generic(
            [wide], init, maps, lambda x, acc: arith.AddIOp(x, acc).result, values.iterators(anchor)
        )
    divisor = match.divisor(group.ops[-1]) or 1.0
    epilogue = average_epilogue(int(np.prod(dims)), source, group.output, group.clamp, divisor)
    group.finish(emit_epilogue(total, epilogue))


def _add(group: _Group) -> None:
    (a, source_a), (b, source_b) = (group.source(v) for v in values.inputs(group.anchor))
    wide = build.elementwise([a], build.integer(32), lambda x: arith.ExtUIOp(build.integer(32), x).result)
    group.finish(emit_epilogue(wide, add_epilogue(source_a, source_b, group.output, group.clamp), None, b))


def _rule(anchor: ir.Operation) -> Callable[[_Group], None] | None:
    if anchor.name in match.CONTRACTIONS:
        return _contraction
    if anchor.name == "linalg.pooling_nhwc_sum" or match.spatial_sum(anchor) is not None:
        return _average
    return _add if match.is_plain_add(anchor) else None
