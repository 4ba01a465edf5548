"""Recognising what an operation means: clamps, biases, residual additions, means, zero padding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from iree.compiler import ir

from quantune.ir import grouped, values
from quantune.ir.evaluate import constant_value

CONVOLUTION = "linalg.conv_2d_nhwc_hwcf"
DEPTHWISE = "linalg.depthwise_conv_2d_nhwc_hwc"
MATMUL = "linalg.matmul"
CONTRACTIONS = {CONVOLUTION: "conv2d", DEPTHWISE: "depthwise_conv2d", MATMUL: "linear"}
"""Operations with weights that Quantune quantizes → layer kind."""

_COMPARISONS: dict[int, Any] = {
    # arith.cmpf predicates, ordered and unordered alike: activations are never NaN
    **dict.fromkeys((2, 9), np.greater),
    **dict.fromkeys((3, 10), np.greater_equal),
    **dict.fromkeys((4, 11), np.less),
    **dict.fromkeys((5, 12), np.less_equal),
}


def contraction_kind(op: ir.Operation) -> str | None:
    """The layer kind of an operation with weights; grouped convolutions are convolutions."""
    return CONTRACTIONS.get(CONVOLUTION if grouped.GROUPS in op.attributes else op.name)


def is_contraction(op: ir.Operation) -> bool:
    """A contraction with constant weights that accumulates from zero."""
    return (
        contraction_kind(op) is not None
        and values.constant(op.operands[1]) is not None
        and is_splat(op.operands[2], 0.0)
    )


def is_splat(value: ir.Value, number: float) -> bool:
    known = constant_value(value)
    return known is not None and bool((known == number).all())


def clamp_bounds(op: ir.Operation) -> tuple[float, float] | None:
    """(low, high) if the operation computes min(max(x, low), high) of its one input: ReLU, ReLU6, hardtanh.

    The body may use comparisons, selections, minima and maxima with constants only: a piecewise function that
    is constant or the identity between its constants, so agreement at the constants, between them and beyond
    is a proof.
    """
    known = _clamp_operands(op)
    if known is None:
        return None
    constants = [float(c) for c in known.values() if c is not None]
    constants += [
        float(c) for inner in op.regions[0].blocks[0].operations for c in _scalar_operands(inner.operation)
    ]
    finite = sorted({c for c in constants if np.isfinite(c)} | {0.0})
    middle = [(a + b) / 2 for a, b in itertools.pairwise(finite)]
    probes = np.asarray(
        [finite[0] - 1e30, finite[0] - 1, *finite, *middle, finite[-1] + 1, finite[-1] + 1e30]
    )
    elements = {argument: probes if c is None else c for argument, c in known.items()}
    result = _run_piecewise(op, elements, probes.shape)
    if result is None:
        return None
    low, high = float(result.min()), float(result.max())
    if not np.array_equal(result, np.clip(probes, low, high)):
        return None
    return (low if low > probes[0] else -np.inf, high if high < probes[-1] else np.inf)


def _scalar_operands(op: ir.Operation) -> list[Any]:
    return [known for o in op.operands if (known := values.constant(o)) is not None and known.ndim == 0]


def clamp_input(op: ir.Operation) -> ir.Value:
    """The tensor that a clamp clamps."""
    return next(v for v in values.inputs(op) if v.type == op.results[0].type)


def _clamp_operands(op: ir.Operation) -> dict[ir.Value, Any] | None:
    """Block argument → None for the one tensor of the result's type, the number for constants of rank 0."""
    if not values.is_elementwise(op):
        return None
    found: dict[ir.Value, Any] = {}
    maps = values.indexing_maps(op)
    for argument, operand, dims in zip(
        op.regions[0].blocks[0].arguments, values.inputs(op), maps, strict=False
    ):
        number = values.constant(operand) if values.rank(operand) == 0 else None
        if number is None and (operand.type != op.results[0].type or dims != maps[-1]):
            return None
        found[argument] = number
    return found if sum(c is None for c in found.values()) == 1 else None


def _run_piecewise(op: ir.Operation, elements: dict[ir.Value, Any], dims: tuple[int, ...]) -> Any:
    block = op.regions[0].blocks[0]
    known = dict(elements)
    for inner in (o.operation for o in block.operations):
        operands: list[Any] = [known[o] if o in known else values.constant(o) for o in inner.operands]
        if any(o is None for o in operands):
            return None
        match inner.name:
            case "linalg.yield":
                return np.broadcast_to(operands[0], dims)
            case "arith.constant":
                known[inner.results[0]] = values.constant(inner.results[0])
            case "arith.cmpf" if (predicate := inner.attributes["predicate"].value) in _COMPARISONS:
                known[inner.results[0]] = _COMPARISONS[predicate](*operands)
            case "arith.select":
                known[inner.results[0]] = np.where(*operands)
            case "arith.maximumf" | "arith.maxnumf":
                known[inner.results[0]] = np.maximum(*operands)
            case "arith.minimumf" | "arith.minnumf":
                known[inner.results[0]] = np.minimum(*operands)
            case _:
                return None
    return None


def is_plain_add(op: ir.Operation) -> bool:
    """out = a + b elementwise, nothing else."""
    if not values.is_elementwise(op) or len(values.inputs(op)) != 2:
        return False
    inner = [o.operation for o in op.regions[0].blocks[0].operations]
    return len(inner) == 2 and inner[0].name == "arith.addf" and inner[1].operands[0] == inner[0].results[0]


def bias_operand(op: ir.Operation, value: ir.Value) -> ir.Value | None:
    """The constant per-channel vector that `op` adds to `value`, or None."""
    if not is_plain_add(op):
        return None
    for operand, dims in zip(values.inputs(op), values.indexing_maps(op), strict=False):
        last = len(values.iterators(op)) - 1
        if (
            operand != value
            and values.rank(operand) == 1
            and dims == [last]
            and constant_value(operand) is not None
        ):
            return operand
    return None


def residual_operand(op: ir.Operation, value: ir.Value) -> ir.Value | None:
    """The other tensor of equal shape that `op` adds to `value`, or None."""
    if not is_plain_add(op) or len(set(values.inputs(op))) != 2 or value not in values.inputs(op):
        return None
    other = next(v for v in values.inputs(op) if v != value)
    maps = values.indexing_maps(op)
    return other if other.type == op.results[0].type and maps[0] == maps[1] == maps[2] else None


def spatial_sum(op: ir.Operation) -> ir.Value | None:
    """The image [1, H, W, C] whose height and width `op` sums up, or None."""
    if op.name != "linalg.generic" or len(values.inputs(op)) != 1 or values.rank(op.operands[0]) != 4:
        return None
    inner = [o.operation.name for o in op.regions[0].blocks[0].operations]
    read = values.indexing_maps(op)[0]
    summed = [
        i for i, loop in enumerate(read) if loop is not None and values.iterators(op)[loop] == "reduction"
    ]
    accumulates = inner == ["arith.addf", "linalg.yield"] and is_splat(op.operands[1], 0.0)
    return op.operands[0] if summed == [1, 2] and accumulates else None


def divisor(op: ir.Operation) -> float | None:
    """N if the operation computes x / N (or x * 1/N) elementwise of its one input."""
    if not values.is_elementwise(op) or len(values.inputs(op)) != 1:
        return None
    inner = [o.operation for o in op.regions[0].blocks[0].operations if o.operation.name != "arith.constant"]
    if len(inner) != 2 or inner[0].name not in ("arith.divf", "arith.mulf"):
        return None
    number = values.constant(inner[0].operands[1])
    if number is None or inner[0].operands[0] != op.regions[0].blocks[0].arguments[0]:
        return None
    return float(number) if inner[0].name == "arith.divf" else 1.0 / float(number)


def padding_of(op: ir.Operation) -> tuple[list[int], list[int], float] | None:
    """(low, high, filler) of a static tensor.pad with a constant filler, or None."""
    if op.name != "tensor.pad" or len(op.operands) > 1:
        return None
    filler = list(op.regions[0].blocks[0].operations)[-1].operands[0]
    known = None if isinstance(filler, ir.BlockArgument) else values.constant(filler)
    if known is None:
        return None
    return (
        values.integers(op.attributes["static_low"]),
        values.integers(op.attributes["static_high"]),
        float(known),
    )
