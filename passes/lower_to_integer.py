"""lower-to-integer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, linalg
from numpy.typing import NDArray

from quantune.errors import UnsupportedError
from quantune.graph.extract import anchor_of, layer_operations
from quantune.ir import build, grouped, match, quant, values
from quantune.numerics.epilogue import add_epilogue, average_epilogue
from quantune.passes.base import Pass, Report, tidy
from quantune.passes.emit_epilogue import emit_epilogue
from quantune.passes.integer_group import IntegerGroup
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
                rule(IntegerGroup(group, anchor))
            lowered[anchor.name] = lowered.get(anchor.name, 0) + 1
        tidy(module)  # no more: the pairs that are left round, and canonicalization would fold them
        return {"lowered": lowered}


def _contraction(group: IntegerGroup) -> None:
    parts = group.contraction()
    accumulated, sums = _accumulate(group.anchor, parts.stored, parts.weight, parts.source)
    group.finish(emit_epilogue(accumulated, parts.epilogue, sums, parts.residual))


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
    if grouped.GROUPS in anchor.attributes:
        return grouped.with_a_dimension_of_groups(anchor, operands[0], operands[1], init), correction
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


def _average(group: IntegerGroup) -> None:
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


def _add(group: IntegerGroup) -> None:
    (a, source_a), (b, source_b) = (group.source(v) for v in values.inputs(group.anchor))
    wide = build.elementwise([a], build.integer(32), lambda x: arith.ExtUIOp(build.integer(32), x).result)
    group.finish(emit_epilogue(wide, add_epilogue(source_a, source_b, group.output, group.clamp), None, b))


def _rule(anchor: ir.Operation) -> Callable[[IntegerGroup], None] | None:
    if match.contraction_kind(anchor) is not None:
        return _contraction
    if anchor.name == "linalg.pooling_nhwc_sum" or match.spatial_sum(anchor) is not None:
        return _average
    return _add if match.is_plain_add(anchor) else None
