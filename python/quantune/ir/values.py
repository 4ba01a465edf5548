"""Reading IR: shapes, constants, who defines and who uses a value, where an operation came from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.errors import UnsupportedError

LAYER = "quantune.layer"
"""Attribute on every operation of a fused group: the layer's name."""


def main_function(module: ir.Module) -> ir.Operation:
    """The public entry function; raises UnsupportedError unless exactly one has a body of one block."""
    functions = [op.operation for op in module.body.operations if op.operation.name == "func.func"]
    public = [f for f in functions if "sym_visibility" not in f.attributes and len(f.regions[0].blocks) == 1]
    if len(public) != 1:
        raise UnsupportedError(
            f"expected one public func.func with a straight-line body, found {len(public)}"
        )
    return public[0]


def body(function: ir.Operation) -> ir.Block:
    return function.regions[0].blocks[0]


def operations(function: ir.Operation) -> Iterator[ir.Operation]:
    """The operations of a function's block, safe against changes while iterating."""
    yield from [op.operation for op in body(function).operations]


def terminator(function: ir.Operation) -> ir.Operation:
    return list(body(function).operations)[-1].operation


def defining(value: ir.Value) -> ir.Operation | None:
    """The operation that makes `value`, or None for a block argument."""
    return value.owner.operation if isinstance(value, ir.OpResult) else None


def users(value: ir.Value) -> list[ir.Operation]:
    """Operations that read `value`, in no particular order, without repetition."""
    found: list[ir.Operation] = []
    for use in value.uses:
        if use.owner.operation not in found:
            found.append(use.owner.operation)
    return found


def single_user(value: ir.Value) -> ir.Operation | None:
    """The one operation that reads `value` (once), or None."""
    uses = list(value.uses)
    return uses[0].owner.operation if len(uses) == 1 else None


def shape(value: ir.Value) -> tuple[int, ...]:
    """Static shape; raises UnsupportedError naming the operation when a dimension is dynamic."""
    kind = value.type
    if not isinstance(kind, ir.RankedTensorType):
        return ()
    if not kind.has_static_shape:
        op = defining(value)
        raise UnsupportedError(
            f"{describe(op) if op else 'an input'} has the dynamic shape {kind}; "
            "export the model with static shapes (batch 1)"
        )
    return tuple(kind.shape)


def rank(value: ir.Value) -> int:
    return len(value.type.shape) if isinstance(value.type, ir.RankedTensorType) else 0


def element_type(value: ir.Value) -> ir.Type:
    return value.type.element_type if isinstance(value.type, ir.RankedTensorType) else value.type


_SPLATS = {"f32": np.float32, "f64": np.float64, "i8": np.int8, "i32": np.int32, "i64": np.int64}


def constant(value: ir.Value) -> NDArray[np.generic] | None:
    """The tensor or scalar an `arith.constant` holds (splats expanded), or None."""
    op = defining(value)
    if op is None or op.name != "arith.constant":
        return None
    attribute = op.attributes["value"]
    if isinstance(attribute, ir.DenseElementsAttr):
        if attribute.is_splat:
            splat = attribute.get_splat_value()
            return np.full(shape(value), splat.value, _SPLATS.get(str(splat.type)))
        return np.array(attribute)
    return np.asarray(attribute.value) if isinstance(attribute, (ir.FloatAttr, ir.IntegerAttr)) else None


def integers(attribute: ir.Attribute) -> list[int]:
    """The elements of a dense or array attribute of integers."""
    return [int(getattr(item, "value", item)) for item in attribute]


def window_steps(op: ir.Operation) -> tuple[list[int], list[int]]:
    """(strides, dilations) of a linalg convolution or pooling, [height, width] each; 1 where not written."""
    attributes = op.attributes
    strides, dilations = (
        integers(attributes[key]) if key in attributes else [1, 1] for key in ("strides", "dilations")
    )
    return strides, dilations


def indexing_maps(op: ir.Operation) -> list[list[int | None]]:
    """For each operand of a linalg.generic, the loop that walks each dimension; None for a constant index.

    Raises UnsupportedError for maps that are not projections (`d0 * 2 + d1`).
    """
    return [_projection(op, item.value) for item in op.attributes["indexing_maps"]]


def _projection(op: ir.Operation, affine_map: ir.AffineMap) -> list[int | None]:
    dims: list[int | None] = []
    for expression in affine_map.results:
        if isinstance(expression, ir.AffineDimExpr):
            dims.append(expression.position)
        elif isinstance(expression, ir.AffineConstantExpr):
            dims.append(None)
        else:
            raise UnsupportedError(f"{describe(op)}: indexing map {affine_map} is not a projection")
    return dims


def iterators(op: ir.Operation) -> list[str]:
    """`parallel` or `reduction` for each loop."""
    return [re.sub(r".*<(\w+)>.*", r"\1", str(item)) for item in op.attributes["iterator_types"]]


def is_elementwise(op: ir.Operation) -> bool:
    """A linalg.generic with one result, indexed by the loops in order, all of them parallel."""
    if op.name != "linalg.generic" or len(op.results) != 1 or set(iterators(op)) - {"parallel"}:
        return False
    try:
        return indexing_maps(op)[-1] == list(range(len(iterators(op))))
    except UnsupportedError:
        return False


def inputs(op: ir.Operation) -> list[ir.Value]:
    """The `ins` of a linalg operation."""
    sizes = integers(op.attributes["operandSegmentSizes"])
    return list(op.operands)[: sizes[0]]


def layer_of(op: ir.Operation) -> str | None:
    """The layer an operation belongs to, once `name-layers` has run."""
    return str(op.attributes[LAYER].value) if LAYER in op.attributes else None


def describe(op: ir.Operation) -> str:
    """How messages name an operation: `linalg.conv_2d_nchw_fchw 'layer1.0.conv1' (model.py line 19)`."""
    name, file, line = source(op)
    name = layer_of(op) or name
    where = f" ({file} line {line})" if file and file != "-" else f" (line {line})" if file else ""
    return op.name + (f" '{name}'" if name else "") + where


def source(op: ir.Operation) -> tuple[str, str, int]:
    """(torch module path or "", file, line) decoded from the operation's location."""
    text = str(op.location)
    if match := re.search(r'"torch:([^"|]*)\|([^"]*)":(\d+)', text):
        return match[1], match[2], int(match[3])
    if match := re.search(r'"([^"]+)":(\d+)', text):
        return "", match[1].rsplit("/", 1)[-1], int(match[2])
    return "", "", 0
