"""join-groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.ir import build, grouped, values
from quantune.ir.evaluate import constant_value
from quantune.passes.base import Pass, Report, cleanup

NAME = "linalg.conv_2d_ngchw_gfchw"
APART = [[0], [1, 2], [3], [4]]


@dataclass(frozen=True)
class JoinGroups(Pass):
    """Makes a grouped convolution one operation on images: later passes see a convolution like any other.

    torch-mlir splits the channels of image, weights and result into groups by reshapes. Written as a
    linalg.generic with the attribute `quantune.groups`, the convolution finds its channels by itself.

    Before:
        %1 = tensor.expand_shape %x into tensor<1x4x8x10x10xf32>
        %2 = linalg.conv_2d_ngchw_gfchw ins(%1, %w : …, tensor<4x16x8x3x3xf32>) outs(%0)
        %3 = tensor.collapse_shape %2 into tensor<1x64x8x8xf32>
    After:
        %3 = linalg.generic {quantune.groups = 4, …}
            ins(%x, %w' : tensor<1x32x10x10xf32>, tensor<64x8x3x3xf32>)

    Other reshapes may have merged with those (a flattened result, a next convolution of as many groups): they
    stay as they are, of one image.

    Left alone: weights that are not constant.
    """

    def apply(self, module: ir.Module) -> Report:
        joined = 0
        for op in values.operations(values.main_function(module)):
            if op.name == NAME:
                with ir.InsertionPoint(op), op.location:
                    joined += _join(op)
        cleanup(module)
        return {"joined": joined}


def _join(op: ir.Operation) -> bool:
    """Splits and joins the channels anew: that cancels torch-mlir's reshapes, merged with others or not."""
    image, result = op.operands[0], op.results[0]
    weight, start = (constant_value(operand) for operand in list(op.operands)[1:])
    if weight is None or start is None:
        return False
    groups, per_group = weight.shape[:2]
    filters = weight.reshape(groups * per_group, *weight.shape[2:]).astype(np.float32)
    strides, dilations = values.window_steps(op)
    batch, _, _, height, width = values.shape(result)
    sums = _start(start.reshape(batch, groups * per_group, height, width))
    operands = [build.collapse(image, APART), build.constant(filters), sums]
    joined = grouped.convolution(operands, groups, strides, dilations, channels_last=False)
    result.replace_all_uses_with(build.expand(joined, APART, values.shape(result)))
    op.erase()
    return True


def _start(known: NDArray[np.float64]) -> ir.Value:
    if known.any():
        return build.constant(known.astype(np.float32))
    return build.filled(0.0, list(known.shape), build.f32())
