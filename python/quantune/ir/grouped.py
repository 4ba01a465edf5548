"""Grouped convolutions as one operation on images.

linalg names only forms in which the groups are a dimension of their own, between reshapes. Here a grouped
convolution is a linalg.generic that finds the channels of an output's group by itself, at
(f floordiv (F / groups)) * (C / groups) + c, so that whatever holds for convolutions holds for it: images
[1, H, W, C], weights [KH, KW, C / groups, F], results [1, OH, OW, F].
"""

from __future__ import annotations

from collections.abc import Sequence

from iree.compiler import ir
from iree.compiler.dialects import arith, linalg

from quantune.ir import build, values

GROUPS = "quantune.groups"
"""On the linalg.generic: how many groups."""


def groups_of(op: ir.Operation) -> int:
    """How many groups a convolution has; 1 for all other operations."""
    return int(op.attributes[GROUPS].value) if GROUPS in op.attributes else 1


def convolution(
    operands: Sequence[ir.Value],
    groups: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    channels_last: bool = True,
) -> ir.Value:
    """operands: image, weight, start of the sums; NHWC and HWCF, or NCHW and FCHW."""
    image, weight, start = operands
    axis = 3 if channels_last else 1
    inner = values.shape(image)[axis] // groups
    per_group = values.shape(start)[axis] // groups
    n, y, x, f, i, j, c = (ir.AffineExpr.get_dim(d) for d in range(7))
    rows, columns = y * strides[0] + i * dilations[0], x * strides[1] + j * dilations[1]
    channel = ir.AffineExpr.get_floor_div(f, per_group) * inner + c
    if channels_last:
        dims = [[n, rows, columns, channel], [i, j, c, f], [n, y, x, f]]
    else:
        dims = [[n, channel, rows, columns], [f, c, i, j], [n, f, y, x]]
    maps = [ir.AffineMap.get(7, 0, expressions) for expressions in dims]
    result = build.generic(
        [image, weight],
        start,
        maps,
        lambda a, b, total: arith.AddFOp(total, arith.MulFOp(a, b).result).result,
        [*["parallel"] * 4, *["reduction"] * 3],
    )
    attributes = result.owner.attributes
    attributes[GROUPS] = ir.IntegerAttr.get(build.integer(64), groups)
    attributes["strides"], attributes["dilations"] = (
        ir.DenseI64ArrayAttr.get(list(steps)) for steps in (strides, dilations)
    )
    return result


def with_a_dimension_of_groups(
    op: ir.Operation, image: ir.Value, weight: ir.Value, start: ir.Value
) -> ir.Value:
    """The convolution as linalg's own conv_2d_nhwgc_gfhwc, on other operands (constant weights) perhaps."""
    groups = groups_of(op)
    strides, dilations = values.window_steps(op)
    kernel_h, kernel_w, inner, filters = values.shape(weight)
    known = values.constant(weight)
    assert known is not None
    split = known.reshape(kernel_h, kernel_w, inner, groups, filters // groups).transpose(3, 4, 0, 1, 2)
    batch, height, width, channels = values.shape(image)
    apart = [[0], [1], [2], [3, 4]]
    result = linalg.conv_2d_nhwgc_gfhwc(
        build.expand(image, apart, [batch, height, width, groups, channels // groups]),
        build.constant(split),
        outs=[build.expand(start, apart, [*values.shape(start)[:3], groups, filters // groups])],
        strides=strides,
        dilations=dilations,
    )
    return build.collapse(result, apart)
