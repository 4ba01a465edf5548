"""One function of many results → a function for each result, so that each can be called alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import func
from numpy.typing import NDArray

from quantune.ir import values


@dataclass(frozen=True)
class Function:
    """What does one work: its name in the module, and the constants that it takes after its inputs.

    `constant_bytes`: everything that ships beside code: weights, scales, schedules.
    """

    name: str
    constant_bytes: int
    blobs: tuple[NDArray[np.int8], ...]


def split_results(module: ir.Module, kinds: Sequence[str]) -> tuple[Function, ...]:
    """@main with its many results → @f0, @f1, … of one result each; returns the one for every result.

    Results of equal kind that come of one kernel and differ in constants only share a function. The layer of
    result i must be called w<i>.
    """
    main = values.main_function(module)
    found: list[Function] = []
    known: dict[str, str] = {}
    for index, kind in enumerate(kinds):
        with ir.InsertionPoint.at_block_begin(module.body):
            copy = main.clone()
        copy.attributes["sym_name"] = ir.StringAttr.get("f")
        _keep_result(copy, index)
        constant_bytes = _constant_bytes(copy)
        blobs = _take_out_blobs(copy)
        retype(copy)
        text = _text(copy, kind, index) if constant_bytes == sum(b.nbytes for b in blobs) else str(index)
        if text in known:
            copy.erase()
        else:
            known[text] = f"f{len(known)}"
            copy.attributes["sym_name"] = ir.StringAttr.get(known[text])
        found.append(Function(known[text], constant_bytes, tuple(blobs)))
    main.erase()
    _remove_unused_kernels(module)
    return tuple(found)


def _text(function: ir.Operation, kind: str, index: int) -> str:
    """Equal for works of one kind that dispatch one kernel; only the layer's name in its symbol differs."""
    return f"{kind}: " + re.sub(rf"::@w{index}(?!\d)", "::@", function.get_asm())


def _remove_unused_kernels(module: ir.Module) -> None:
    """Exports that only the functions merged into others called; compiling them takes time."""
    operations = [op.operation for op in module.body.operations]
    used = "".join(op.get_asm(large_elements_limit=4) for op in operations if op.name == "func.func")
    for executable in (op for op in operations if op.name == "stream.executable"):
        for op in _inside(executable):
            for symbol in _inside(op) if op.name == "builtin.module" else [op]:
                name = symbol.attributes["sym_name"].value if "sym_name" in symbol.attributes else ""
                declared = symbol.name == "func.func" and "sym_visibility" in symbol.attributes
                if name and not declared and f"@{name}(" not in used:
                    symbol.erase()


def _inside(op: ir.Operation) -> list[ir.Operation]:
    return [inner.operation for inner in op.regions[0].blocks[0].operations]


def _keep_result(function: ir.Operation, index: int) -> None:
    """Only result `index`, what it is made of, and the arguments that this reads."""
    end = values.terminator(function)
    with ir.InsertionPoint(end):
        func.ReturnOp([end.operands[index]])
    end.erase()
    _remove_dead(function)
    block = values.body(function)
    for position in reversed(range(len(block.arguments))):
        if not list(block.arguments[position].uses):
            block.erase_argument(position)


def _take_out_blobs(function: ir.Operation) -> list[NDArray[np.int8]]:
    """The kernels' constants become arguments: half the compile time, and widths share their functions."""
    block, found = values.body(function), []
    for op in values.operations(function):
        if op.name == "arith.constant" and all(
            u.name == "flow.dispatch" for u in values.users(op.results[0])
        ):
            data = values.constant(op.results[0])
            if data is not None and data.dtype == np.int8:
                found.append(np.array(data))
                argument = block.add_argument(op.results[0].type, ir.Location.unknown())
                op.results[0].replace_all_uses_with(argument)
                op.erase()
    return found


def _remove_dead(function: ir.Operation) -> None:
    """Everything in these modules is free of side effects."""
    for op in reversed(list(values.operations(function))[:-1]):
        if not any(list(result.uses) for result in op.results):
            op.erase()


def _constant_bytes(function: ir.Operation) -> int:
    total = 0
    for op in values.operations(function):
        if op.name == "arith.constant" and isinstance(op.results[0].type, ir.RankedTensorType):
            kind = ir.RankedTensorType(op.results[0].type)
            width = kind.element_type.width if hasattr(kind.element_type, "width") else 32
            if not op.attributes["value"].is_splat:
                total += int(np.prod(kind.shape)) * width // 8
    return total


def retype(function: ir.Operation) -> None:
    """Makes a function's type that of its arguments and results."""
    block, end = values.body(function), values.terminator(function)
    kind = ir.FunctionType.get([a.type for a in block.arguments], [v.type for v in end.operands])
    function.attributes["function_type"] = ir.TypeAttr.get(kind)
    if "arg_attrs" in function.attributes:
        del function.attributes["arg_attrs"]
