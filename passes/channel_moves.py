"""Kernels that move channels, on behalf of select-kernels: shuffles, and what a concatenation must copy."""

from __future__ import annotations

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.ir import values
from quantune.passes.image_views import element_bytes
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_move import Runs, pack_move

FAMILY = "move"


MOST_RUNS = 16
_STEPS = ("tensor.expand_shape", "tensor.collapse_shape", "linalg.transpose", "tensor.extract_slice")


def shuffles(module: ir.Module, kernels: Kernels) -> dict[str, str]:
    """Requests a kernel where channels change their order (expand, transpose, collapse, slice).

    Returns layer → what was chosen.
    """
    choices = {}
    for op in values.operations(values.main_function(module)):
        if op.name not in _STEPS or values.rank(op.results[0]) != 4 or not _is_read(op):
            continue
        base, table = _sources(op.results[0])
        runs = _dealt(table)
        if runs is not None and len(runs.starts) > 1 and element_bytes(base.type) == 1:
            moved = _request(op, base, op.results[0], runs, kernels)
            if moved is not None:
                op.results[0].replace_all_uses_with(moved)
                choices[_layer(op)] = f"kernel {FAMILY} for {kernels.target.isa(FAMILY)}"
    return choices


def copies(module: ir.Module, kernels: Kernels) -> None:
    """Requests copies of what a concatenation that kernels write has from elsewhere or is read early."""
    made = {call.result for call in kernels.calls}
    order = {op: index for index, op in enumerate(values.operations(values.main_function(module)))}
    copied: list[tuple[ir.Operation, int, ir.Value]] = []
    for op in order:
        if op.name != "tensor.concat" or values.rank(op.results[0]) != 4 or op.attributes["dim"].value != 3:
            continue
        operands = list(op.operands)
        if not any(value in made for value in operands):
            continue
        for index, value in enumerate(operands):
            # Readers without a number are copies made here for earlier concatenations.
            early = any(order.get(reader, -1) < order[op] for reader in values.users(value))
            if value in made and not early and value not in operands[:index]:
                continue
            length = values.shape(value)[3] * element_bytes(value.type)
            copy = _request(op, value, value, Runs((0,), length), kernels)
            if copy is not None:
                copied.append((op, index, copy))
    for op, index, copy in copied:  # not before: an operation is found by its operands
        op.operands[index] = copy


def _request(
    before: ir.Operation, source: ir.Value, like: ir.Value, runs: Runs, kernels: Kernels
) -> ir.Value | None:
    """A kernel's result of the type of `like`, or None without one for this target."""
    if kernels.target.isa(FAMILY) is None:
        return None
    _, height, width, _ = values.shape(like)

    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_move(height, width, runs, where)

    with ir.InsertionPoint(before), before.location:
        return kernels.request(_layer(before), FAMILY, source, None, like.type, pack)


def _layer(op: ir.Operation) -> str:
    return values.layer_of(op) or op.name


def _is_read(op: ir.Operation) -> bool:
    """Whether someone reads the result who is not just one more step of the move."""
    value = op.results[0]
    readers = values.users(value)
    return any(r.name not in _STEPS or _sources(r.results[0])[0] in (value, r.results[0]) for r in readers)


def _sources(value: ir.Value) -> tuple[ir.Value, NDArray[np.int64]]:
    """(image, the channel of it at each place behind height and width of `value`)."""
    op = values.defining(value)
    dims = values.shape(value)
    if (
        op is not None
        and op.name in _STEPS
        and len(op.operands) <= (2 if op.name == "linalg.transpose" else 1)
    ):
        base, table = _sources(op.operands[0])
        if values.shape(base)[:3] == dims[:3] and (moved := _step(op, table)) is not None:
            return base, moved
    return value, np.arange(int(np.prod(dims[3:]))).reshape(dims[3:])


def _step(op: ir.Operation, table: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The table after one operation; None if it moves more than channels."""
    dims = values.shape(op.results[0])
    if op.name == "linalg.transpose":
        permutation = values.integers(op.attributes["permutation"])
        return table.transpose([p - 3 for p in permutation[3:]]) if permutation[:3] == [0, 1, 2] else None
    if op.name == "tensor.extract_slice":
        parts = [values.integers(op.attributes[f"static_{name}"]) for name in ("offsets", "sizes", "strides")]
        if len(dims) != values.rank(op.operands[0]):
            return None
        return table[tuple(slice(o, o + n * s, s) for o, n, s in list(zip(*parts, strict=True))[3:])]
    return table.reshape(dims[3:]) if int(np.prod(dims[3:])) == table.size else None


def _dealt(table: NDArray[np.int64]) -> Runs | None:
    """The fewest runs of consecutive channels that, dealt out in turn, are this table."""
    for count in range(1, min(MOST_RUNS, table.size) + 1):
        if table.size % count == 0:
            runs = table.reshape(-1, count)
            if (runs == runs[0] + np.arange(len(runs))[:, None]).all():
                return Runs(tuple(int(start) for start in runs[0]), len(runs))
    return None
