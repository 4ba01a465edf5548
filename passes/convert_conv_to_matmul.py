"""convert-conv-to-matmul."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from iree.compiler import ir
from iree.compiler.dialects import linalg
from numpy.typing import NDArray

from quantune.ir import build, grouped, match, values
from quantune.passes.base import Pass, Report, cleanup


@dataclass(frozen=True)
class ConvertConvToMatmul(Pass):
    """Writes convolutions as im2col and matmul, the form IREE's data tiling and microkernels know.

    im2col is one linalg.generic that gathers each output pixel's window; a 1x1 convolution with stride 1
    needs only reshapes.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf ins(%x, %w : tensor<1x10x10x4xi8>, tensor<3x3x4x8xi8>)
                                      outs(%0 : tensor<1x8x8x8xi32>)
    After:
        %1 = linalg.generic ins(%x) outs(… : tensor<1x8x8x3x3x4xi8>)        (d0, d1 + d3, d2 + d4, d5)
        %2 = tensor.collapse_shape %1 into tensor<64x36xi8>
        %3 = linalg.matmul ins(%2, %w2 : tensor<64x36xi8>, tensor<36x8xi8>) outs(… : tensor<64x8xi32>)
        %4 = tensor.expand_shape %3 into tensor<1x8x8x8xi32>

    The same in f32: beside integer layers, IREE's direct strided float convolutions take up to 40 times as
    long.

    Grouped convolutions become linalg's own, with the groups as a dimension.

    Left alone: depthwise convolutions, weights that are not constant.
    """

    def apply(self, module: ir.Module) -> Report:
        converted = 0
        for op in values.operations(values.main_function(module)):
            if grouped.GROUPS in op.attributes:
                with ir.InsertionPoint(op), op.location:
                    apart = grouped.with_a_dimension_of_groups(op, *op.operands)
                    op.results[0].replace_all_uses_with(apart)
                op.erase()
                continue
            weight = values.constant(op.operands[1]) if op.name == match.CONVOLUTION else None
            if weight is not None:
                with ir.InsertionPoint(op), op.location:
                    op.results[0].replace_all_uses_with(_as_matmul(op, weight))
                op.erase()
                converted += 1
        cleanup(module)
        return {"converted": converted}


def _as_matmul(op: ir.Operation, weight: NDArray[Any]) -> ir.Value:
    kernel_h, kernel_w = weight.shape[:2]
    dims = values.shape(op.results[0])
    strides, dilations = values.window_steps(op)
    if kernel_h == kernel_w == 1 and strides == [1, 1]:
        gathered = op.operands[0]
        columns = build.collapse(gathered, [[0, 1, 2], [3]])
    else:
        gathered = _im2col(op, (kernel_h, kernel_w), strides, dilations)
        columns = build.collapse(gathered, [[0, 1, 2], [3, 4, 5]])
    flat = build.constant(weight.reshape(-1, weight.shape[3]))
    product = linalg.matmul(columns, flat, outs=[_start(op.operands[2])])
    return build.expand(product, [[0, 1, 2], [3]], dims)


def _start(value: ir.Value) -> ir.Value:
    """What the sums start from, as a matrix; a fill is made anew, so that code generation sees a fill."""
    op = values.defining(value)
    if op is None or op.name != "linalg.fill":
        return build.collapse(value, [[0, 1, 2], [3]])
    *pixels, filters = values.shape(value)
    return linalg.fill(
        op.operands[0], outs=[build.empty([math.prod(pixels), filters], values.element_type(value))]
    )


def _im2col(op: ir.Operation, kernel: tuple[int, int], strides: list[int], dilations: list[int]) -> ir.Value:
    """[1, OH, OW, KH, KW, C]: every output pixel's window."""
    source = op.operands[0]
    batch, height, width, _ = values.shape(op.results[0])
    d = [ir.AffineExpr.get_dim(i) for i in range(6)]
    rows = d[1] * strides[0] + d[3] * dilations[0]
    columns = d[2] * strides[1] + d[4] * dilations[1]
    gather = ir.AffineMap.get(6, 0, [d[0], rows, columns, d[5]])
    out = build.empty([batch, height, width, *kernel, values.shape(source)[3]], values.element_type(source))
    return build.generic([source], out, [gather, ir.AffineMap.get_identity(6)], lambda x, _: x)
