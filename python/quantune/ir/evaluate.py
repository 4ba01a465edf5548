"""Evaluating constant expressions of the IR in numpy: batch norms, broadcasts, transposes of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.ir import values

Evaluator = Callable[[str, list[Any]], Any]

_SCALAR_OPERATIONS: dict[str, Callable[..., Any]] = {
    "arith.addf": np.add,
    "arith.subf": np.subtract,
    "arith.mulf": np.multiply,
    "arith.divf": np.divide,
    "arith.negf": np.negative,
    "arith.maximumf": np.maximum,
    "arith.minimumf": np.minimum,
    "arith.truncf": lambda x: x,
    "arith.extf": lambda x: x,
    "math.sqrt": np.sqrt,
    "math.rsqrt": lambda x: 1.0 / np.sqrt(x),
}


def numpy_operation(name: str, operands: list[Any]) -> Any:
    """One scalar operation on f64 arrays; None when it has no counterpart here."""
    function = _SCALAR_OPERATIONS.get(name)
    return None if function is None or any(o is None for o in operands) else function(*operands)


def evaluate_body(
    op: ir.Operation, elements: Mapping[ir.Value, Any], evaluator: Evaluator = numpy_operation
) -> Any:
    """Runs the body of a linalg.generic on whatever `evaluator` computes with; None if something is unknown.

    `elements` maps block arguments to their meaning. Scalars defined outside are constants or unknown.
    """
    known: dict[ir.Value, Any] = dict(elements)

    def lookup(value: ir.Value) -> Any:
        if value not in known:
            array = values.constant(value)
            known[value] = None if array is None else np.asarray(array, np.float64)
        return known[value]

    for inner in op.regions[0].blocks[0].operations:
        if inner.operation.name == "linalg.yield":
            return lookup(inner.operands[0]) if len(inner.operands) == 1 else None
        if len(inner.operation.results) == 1 and inner.operation.name not in ("arith.constant", "arith.cmpf"):
            known[inner.operation.results[0]] = evaluator(
                inner.operation.name, [lookup(o) for o in inner.operands]
            )
    return None


def constant_value(value: ir.Value) -> NDArray[np.float64] | None:
    """The value as an f64 array if it depends on constants only, else None."""
    op = values.defining(value)
    if op is None:
        return None
    if op.name == "arith.constant":
        array = values.constant(value)
        return None if array is None or array.dtype.kind != "f" else array.astype(np.float64)
    if op.name in ("tensor.expand_shape", "tensor.collapse_shape"):
        source = constant_value(op.operands[0])
        return None if source is None else source.reshape(values.shape(value))
    if op.name == "linalg.transpose":
        source = constant_value(op.operands[0])
        return None if source is None else source.transpose(values.integers(op.attributes["permutation"]))
    if op.name == "linalg.fill":
        scalar = constant_value(op.operands[0])
        return None if scalar is None else np.full(values.shape(value), scalar)
    if op.name == "linalg.broadcast":
        return _broadcast(op)
    return _elementwise(op) if values.is_elementwise(op) else None


def _broadcast(op: ir.Operation) -> NDArray[np.float64] | None:
    source = constant_value(op.operands[0])
    if source is None:
        return None
    added = values.integers(op.attributes["dimensions"])
    return np.broadcast_to(np.expand_dims(source, tuple(added)), values.shape(op.results[0]))


def _elementwise(op: ir.Operation) -> NDArray[np.float64] | None:
    block = op.regions[0].blocks[0]
    elements: dict[ir.Value, Any] = {}
    for argument, operand, dims in zip(
        block.arguments, values.inputs(op), values.indexing_maps(op), strict=False
    ):
        source = constant_value(operand)
        if source is None:
            return None
        elements[argument] = broadcast_along(source, dims, len(values.iterators(op)))
    result = evaluate_body(op, elements)
    return None if result is None else np.broadcast_to(result, values.shape(op.results[0]))


def broadcast_along(array: NDArray[np.float64], dims: list[int | None], loops: int) -> NDArray[np.float64]:
    """Reshapes an operand with indexing map `dims` so that numpy broadcasting walks it as the loops do."""
    order = [d for d in dims if d is not None]
    kept = array.reshape([size for size, d in zip(array.shape, dims, strict=True) if d is not None])
    kept = kept.transpose(np.argsort(order))
    return kept.reshape(
        [kept.shape[sorted(order).index(loop)] if loop in order else 1 for loop in range(loops)]
    )
