"""Writing IR: the few builders the passes need, each at the current insertion point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, linalg, tensor
from numpy.typing import NDArray

from quantune.ir.values import element_type, shape

_ELEMENTS: dict[str, Callable[[], ir.Type]] = {
    "float32": ir.F32Type.get,
    "int8": lambda: ir.IntegerType.get_signless(8),
    "uint8": lambda: ir.IntegerType.get_signless(8),
    "int32": lambda: ir.IntegerType.get_signless(32),
}


def f32() -> ir.Type:
    return ir.F32Type.get()


def integer(bits: int) -> ir.Type:
    return ir.IntegerType.get_signless(bits)


def tensor_type(dims: Sequence[int], element: ir.Type) -> ir.RankedTensorType:
    return ir.RankedTensorType.get(list(dims), element)


def constant(array: NDArray[Any]) -> ir.Value:
    """A tensor constant with the array's own element type (u8 becomes signless i8)."""
    element = _ELEMENTS[array.dtype.name]()
    signless = array.view(np.int8) if array.dtype == np.uint8 else array
    attribute = ir.DenseElementsAttr.get(
        np.ascontiguousarray(signless), type=element, shape=list(array.shape)
    )
    return arith.ConstantOp(tensor_type(array.shape, element), attribute).result


def bytes_constant(data: bytes) -> ir.Value:
    """Raw bytes as a tensor of i8."""
    return constant(np.frombuffer(data, np.int8))


def scalar(value: float, element: ir.Type) -> ir.Value:
    """A scalar constant of a float or integer type."""
    if isinstance(element, ir.IntegerType):
        return arith.ConstantOp(element, ir.IntegerAttr.get(element, int(value))).result
    return arith.ConstantOp(element, ir.FloatAttr.get(element, float(value))).result


def empty(dims: Sequence[int], element: ir.Type) -> ir.Value:
    return tensor.EmptyOp(list(dims), element).result


def filled(value: float, dims: Sequence[int], element: ir.Type) -> ir.Value:
    return linalg.fill(scalar(value, element), outs=[empty(dims, element)])


def transpose(value: ir.Value, permutation: Sequence[int]) -> ir.Value:
    """result dimension i is input dimension permutation[i]."""
    dims = [shape(value)[p] for p in permutation]
    init = empty(dims, element_type(value))
    op = linalg.TransposeOp(result=[init.type], input=value, init=init, permutation=list(permutation))
    with ir.InsertionPoint(
        op.operation.regions[0].blocks.append(element_type(value), element_type(value))
    ) as _:
        linalg.YieldOp([op.operation.regions[0].blocks[0].arguments[0]])
    return op.operation.results[0]


def collapse(value: ir.Value, groups: Sequence[Sequence[int]]) -> ir.Value:
    dims = [int(np.prod([shape(value)[d] for d in group])) for group in groups]
    if len(dims) == len(shape(value)):
        return value
    kind = tensor_type(dims, element_type(value))
    return tensor.CollapseShapeOp(kind, value, _reassociation(groups)).result


def expand(value: ir.Value, groups: Sequence[Sequence[int]], dims: Sequence[int]) -> ir.Value:
    if len(dims) == len(shape(value)):
        return value
    kind = tensor_type(dims, element_type(value))
    return tensor.ExpandShapeOp(kind, value, _reassociation(groups), [], list(dims)).result


def reshape(value: ir.Value, dims: Sequence[int]) -> ir.Value:
    """Row-major reshape through one dimension; canonicalization shortens it."""
    flat = collapse(value, [list(range(len(shape(value))))])
    return expand(flat, [list(range(len(dims)))], dims)


def pad(value: ir.Value, low: Sequence[int], high: Sequence[int], filler: ir.Value) -> ir.Value:
    """Pads with the scalar `filler`."""
    dims = [a + b + c for a, b, c in zip(low, shape(value), high, strict=True)]
    op = tensor.PadOp(tensor_type(dims, element_type(value)), value, [], [], list(low), list(high))
    index = ir.IndexType.get()
    block = op.operation.regions[0].blocks.append(*[index] * len(dims))
    with ir.InsertionPoint(block):
        tensor.YieldOp(filler)
    return op.result


def extract_slice(
    value: ir.Value, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]
) -> ir.Value:
    kind = tensor_type(sizes, element_type(value))
    return tensor.ExtractSliceOp(kind, value, [], [], [], list(offsets), list(sizes), list(strides)).result


def concat(values: Sequence[ir.Value], axis: int) -> ir.Value:
    dims = list(shape(values[0]))
    dims[axis] = sum(shape(v)[axis] for v in values)
    return tensor.ConcatOp(tensor_type(dims, element_type(values[0])), axis, list(values)).result


def generic(
    ins: Sequence[ir.Value],
    out: ir.Value,
    maps: Sequence[ir.AffineMap],
    compute: Callable[..., ir.Value],
    iterator_types: Sequence[str] | None = None,
) -> ir.Value:
    """A linalg.generic whose body is what `compute(*elements)` builds; `maps` covers ins and out."""
    kinds = iterator_types or ["parallel"] * maps[0].n_dims
    op = linalg.GenericOp(
        [out.type],
        list(ins),
        [out],
        ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps]),
        ir.ArrayAttr.get([ir.Attribute.parse(f"#linalg.iterator_type<{kind}>") for kind in kinds]),
    ).operation
    block = op.regions[0].blocks.append(*[element_type(v) for v in [*ins, out]])
    with ir.InsertionPoint(block):
        linalg.YieldOp([compute(*block.arguments)])
    return op.results[0]


def elementwise(ins: Sequence[ir.Value], element: ir.Type, compute: Callable[..., ir.Value]) -> ir.Value:
    """Elementwise over ins[0]'s shape; inputs of rank 1 are broadcast along the last (channel) dimension."""
    dims = shape(ins[0])
    identity = ir.AffineMap.get_identity(len(dims))
    channel = ir.AffineMap.get(len(dims), 0, [ir.AffineExpr.get_dim(len(dims) - 1)])
    maps = [identity if i == 0 or len(shape(v)) == len(dims) > 1 else channel for i, v in enumerate(ins)]
    return generic(ins, empty(dims, element), [*maps, identity], lambda *elements: compute(*elements[:-1]))


def projection(loops: int, dims: Sequence[int | None]) -> ir.AffineMap:
    """The affine map that walks dimension i with loop dims[i], or stays at 0 for None."""
    get = [ir.AffineExpr.get_constant(0) if d is None else ir.AffineExpr.get_dim(d) for d in dims]
    return ir.AffineMap.get(loops, 0, get)


def _reassociation(groups: Sequence[Sequence[int]]) -> ir.ArrayAttr:
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get(
        [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in group]) for group in groups]
    )
