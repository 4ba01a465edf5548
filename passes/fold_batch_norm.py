"""fold-batch-norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith
from numpy.typing import NDArray

from quantune.ir import build, grouped, values
from quantune.ir.evaluate import broadcast_along, constant_value, evaluate_body, numpy_operation
from quantune.passes.base import Pass, Report, cleanup

# contraction → (axis of the output channels in the weight, in the result)
CHANNEL_AXES = {
    "linalg.conv_2d_nchw_fchw": (0, 1),
    "linalg.conv_2d_nhwc_hwcf": (3, 3),
    "linalg.depthwise_conv_2d_nchw_chw": (0, 1),
    "linalg.depthwise_conv_2d_nhwc_hwc": (2, 3),
    "linalg.matmul": (1, 1),
}


@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Folds batch norms, and any other per-channel affine arithmetic, into the contraction before them.

    Follows the single use of a contraction's result through elementwise operations whose other operands are
    constant, as long as the value stays `a * contraction + b` with a and b per output channel. The scale a
    goes into the weights (in f64, rounded once), b becomes one addition. The contraction then starts from
    zero, so that later passes find every bias in one place.

    Before:
        %1 = linalg.conv_2d_nchw_fchw ins(%x, %w) outs(%zero)
        %2 = linalg.generic ins(%1, %mean)    { subf }
        %3 = linalg.generic ins(%2, %rsqrt)   { mulf }
        %4 = linalg.generic ins(%3, %gamma)   { mulf }
        %5 = linalg.generic ins(%4, %beta)    { addf }
    After:
        %1 = linalg.conv_2d_nchw_fchw ins(%x, %w_scaled) outs(%zero)
        %2 = linalg.generic ins(%1, %bias)    { addf }

    Left alone: a contraction whose weights are not constant, chains that leave the per-channel form, values
    with several users. Weights that several contractions share are copied first.
    """

    def apply(self, module: ir.Module) -> Report:
        folded = sum(
            _fold(op) for op in values.operations(values.main_function(module)) if _axes(op) is not None
        )
        cleanup(module)
        return {"folded": folded}


@dataclass
class _Affine:
    """scale * contraction + offset, each [channels] broadcast over the loops."""

    scale: Any
    offset: Any


def _axes(op: ir.Operation) -> tuple[int, int] | None:
    return CHANNEL_AXES.get("linalg.conv_2d_nchw_fchw" if grouped.GROUPS in op.attributes else op.name)


def _fold(op: ir.Operation) -> bool:
    """Folds what follows one contraction; False when there was nothing to do."""
    weight = constant_value(op.operands[1])
    start = constant_value(op.operands[2])
    if weight is None or start is None:
        return False
    weight_axis, axis = _axes(op) or (0, 0)
    rank = values.rank(op.results[0])
    affine = _Affine(np.float64(1), np.float64(0) if not start.any() else _per_channel(start, axis))
    if affine.offset is None:
        return False
    last, steps = op, 0
    while (following := _step(last, affine, axis)) is not None:
        last, affine = following
        steps += 1
    if values.constant(op.operands[1]) is None:  # a transposed constant, say
        with ir.InsertionPoint(op), op.location:
            op.operands[1] = build.constant(weight.astype(np.float32))
    plain_bias = steps == 1 and np.all(affine.scale == 1) and not start.any()
    if plain_bias or (steps == 0 and not start.any()):
        return False
    channels = values.shape(op.results[0])[axis]
    scale = np.broadcast_to(np.ravel(affine.scale), channels)
    offset = np.broadcast_to(np.ravel(affine.offset), channels).astype(np.float32)
    _rewrite(op, last, _scaled(weight, scale, weight_axis), offset, axis, rank)
    return True


def _step(op: ir.Operation, affine: _Affine, axis: int) -> tuple[ir.Operation, _Affine] | None:
    """The next elementwise operation and the form of its result, if that is still affine."""
    user = values.single_user(op.results[0])
    if (
        user is None
        or not values.is_elementwise(user)
        or values.shape(user.results[0]) != values.shape(op.results[0])
    ):
        return None
    loops = len(values.iterators(user))
    elements: dict[ir.Value, Any] = {}
    for argument, operand, dims in zip(
        user.regions[0].blocks[0].arguments, values.inputs(user), values.indexing_maps(user), strict=False
    ):
        if operand == op.results[0]:
            elements[argument] = affine
        else:
            known = constant_value(operand)
            if known is None:
                return None
            elements[argument] = _per_channel(broadcast_along(known, dims, loops), axis)
    result = evaluate_body(user, elements, _affine_operation)
    return (user, result) if isinstance(result, _Affine) else None


def _per_channel(array: NDArray[np.float64], axis: int) -> NDArray[np.float64] | None:
    """[channels] if the array varies along `axis` only, else None."""
    first = array[tuple(slice(None) if d == axis else slice(0, 1) for d in range(array.ndim))]
    return first.reshape(-1) if (array == first).all() else None


def _affine_operation(name: str, operands: list[Any]) -> Any:
    if any(o is None for o in operands):
        return None
    if not any(isinstance(o, _Affine) for o in operands):
        return numpy_operation(name, operands)
    a, b = operands[0], operands[-1]
    match name:
        case "arith.addf" if not isinstance(b, _Affine):
            return _Affine(a.scale, a.offset + b)
        case "arith.addf" if not isinstance(a, _Affine):
            return _Affine(b.scale, a + b.offset)
        case "arith.subf" if not isinstance(b, _Affine):
            return _Affine(a.scale, a.offset - b)
        case "arith.mulf" if not isinstance(b, _Affine):
            return _Affine(a.scale * b, a.offset * b)
        case "arith.mulf" if not isinstance(a, _Affine):
            return _Affine(a * b.scale, a * b.offset)
        case "arith.divf" if not isinstance(b, _Affine):
            return _Affine(a.scale / b, a.offset / b)
    return None


def _scaled(weight: NDArray[np.float64], scale: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    along = [-1 if d == axis else 1 for d in range(weight.ndim)]
    return (weight * scale.reshape(along)).astype(np.float32)


def _rewrite(
    op: ir.Operation,
    last: ir.Operation,
    weight: NDArray[np.float32],
    offset: NDArray[np.float32],
    axis: int,
    rank: int,
) -> None:
    dims = values.shape(op.results[0])
    with ir.InsertionPoint(op), op.location:
        op.operands[1] = build.constant(weight)
        op.operands[2] = build.filled(0.0, dims, build.f32())
    if not offset.any():
        last.results[0].replace_all_uses_with(op.results[0])
        return
    with ir.InsertionPoint.after(last), op.location:
        maps = [
            ir.AffineMap.get_identity(rank),
            build.projection(rank, [axis]),
            ir.AffineMap.get_identity(rank),
        ]
        bias = build.constant(offset)
        added = build.generic(
            [op.results[0], bias],
            build.empty(dims, build.f32()),
            maps,
            lambda x, b, _: arith.AddFOp(x, b).result,
        )
    if last != op:
        last.results[0].replace_all_uses_with(added)
    else:
        op.results[0].replace_all_uses_except(added, added.owner.operation)
