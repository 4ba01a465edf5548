"""`file.mlir` / `file.mlirbc`: linalg on tensors, brought to the form that the torch route delivers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.errors import QuantuneError, UnsupportedError
from quantune.ir import values
from quantune.ir.session import Workspace

_RESOURCE = re.compile(r"dense_resource<")
_BLOB = re.compile(r'"0x([0-9A-Fa-f]*)"')
_ALIGNMENT_DIGITS = 8  # a blob starts with its alignment, a little-endian u32 in hex


def import_mlir(workspace: Workspace, path: Path) -> ir.Module:
    """Parses the file, makes every weight a dense constant, calls the function `main`.

    Raises QuantuneError when the file does not parse, its weights were left out when it was printed, or hold
    NaN or infinity; UnsupportedError when it has not exactly one public function.
    """
    if not path.is_file():
        raise QuantuneError(f"no such file: {path}")
    try:
        module = workspace.load(path)
    except QuantuneError as error:
        hint = "; lower it to linalg on tensors first" if "ialect" in str(error) else ""
        raise QuantuneError(f"{error}{hint}") from error.__cause__
    try:
        function = values.main_function(module)
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from error
    for op in values.operations(function):
        if op.name == "arith.constant" and isinstance(op.results[0].type, ir.RankedTensorType):
            _densify(op, path)
            _check_finite(op, path)
    with module.context:
        function.attributes["sym_name"] = ir.StringAttr.get("main")
    return module


def check_signature(module: ir.Module, label: str) -> tuple[int, ...]:
    """The shape (1, C, H, W) of the only input.

    Raises UnsupportedError for whatever else the function takes or returns; only f32 tensors will do.
    """
    function = values.main_function(module)
    arguments = list(values.body(function).arguments)
    if len(arguments) != 1:
        raise UnsupportedError(
            f"{label} takes {len(arguments)} inputs; Quantune needs a model of one image tensor"
        )
    _check_tensor(arguments[0].type, f"{label} takes", "one image tensor [1, C, H, W] of f32")
    shape = tuple(arguments[0].type.shape)
    if len(shape) != 4 or shape[0] != 1:
        raise UnsupportedError(
            f"{label} takes {list(shape)}; Quantune needs one image tensor [1, C, H, W]: export it so"
        )
    results = list(values.terminator(function).operands)
    if not results:
        raise UnsupportedError(f"{label} returns nothing; return the logits")
    for result in results:
        _check_tensor(result.type, f"{label} returns", "floating-point (f32) tensors: return the logits")
    return shape


def _check_tensor(kind: ir.Type, what: str, wanted: str) -> None:
    if not isinstance(kind, ir.RankedTensorType) or not isinstance(kind.element_type, ir.F32Type):
        raise UnsupportedError(f"{what} {kind}; Quantune needs {wanted}")
    if not kind.has_static_shape:
        raise UnsupportedError(
            f"{what} the dynamic shape {kind}; export the model with static shapes (batch 1)"
        )


def _densify(op: ir.Operation, path: Path) -> None:
    """Replaces `dense_resource<…>`, which the bindings cannot read, by the numbers themselves.

    They can print it, though: a module of this one constant comes with the one blob it refers to.
    """
    head = (
        str(op.attributes["value"])[:40]
        if not isinstance(op.attributes["value"], ir.DenseElementsAttr)
        else ""
    )
    if not _RESOURCE.match(head):
        return
    kind = op.results[0].type
    with op.context, ir.Location.unknown():
        alone = ir.Module.create()
        with ir.InsertionPoint(alone.body):
            op.clone()
        blob = _BLOB.search(alone.operation.get_asm())
        if blob is None:
            raise QuantuneError(
                f"{path} lacks the weights of {values.describe(op)}: they were elided when it was printed; "
                "print it again with weights, or write bytecode (.mlirbc)"
            )
        array = np.frombuffer(bytes.fromhex(blob[1][_ALIGNMENT_DIGITS:]), _dtype(kind.element_type, path))
        op.attributes["value"] = ir.DenseElementsAttr.get(array.reshape(kind.shape), type=kind.element_type)


def _dtype(element: ir.Type, path: Path) -> np.dtype[np.generic]:
    names = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "i64": "<i8", "i32": "<i4", "i16": "<i2", "i8": "i1"}
    if str(element) not in names:
        raise UnsupportedError(
            f"{path} has weights of type {element} as resources; write them as dense constants"
        )
    return np.dtype(names[str(element)])


def _check_finite(op: ir.Operation, path: Path) -> None:
    array: NDArray[np.generic] | None = values.constant(op.results[0])
    if array is None or array.dtype.kind != "f":
        return
    # A splat of -inf is where a maximum starts, not a weight.
    bad = np.isnan(array) if array.size and (array == array.flat[0]).all() else ~np.isfinite(array)
    if bad.any():
        reader = values.single_user(op.results[0])
        where = values.describe(reader if reader is not None else op)
        raise QuantuneError(
            f"{path}: the weights of {where} hold {int(bad.sum())} NaN or infinite value(s); "
            "retrain or repair the checkpoint"
        )
