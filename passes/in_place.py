"""Results that lie where their residual did, which spares the caches a tensor.

A kernel adds a residual to the result of the same pixel and channel, and reads it before it writes that
result. So both may lie in one place if nobody reads the residual any more:

    %r = @a(%x)                                  %r = @a(%x)
    %y = @b(%r)                             →    %y = @b(%r)
    %z = @c(%y, %r)                              %z = @c(%y, %r) -> %r
"""

from __future__ import annotations

from collections.abc import Sequence

from iree.compiler import ir

from quantune.ir import quant, values
from quantune.passes.image_views import View
from quantune.passes.kernel_call import KernelCall
from quantune.passes.place_results import Home

FAMILIES = ("qconv", "fconv")  # whose kernels write every result once; the others may do a row's end twice
_SEES = ("tensor.extract_slice", quant.STORAGE)  # operations whose result is a part of their operand


def in_place(call: KernelCall, home: Home, views: Sequence[View]) -> bool:
    """Whether the result replaces the residual: as large, in the same place of a tensor nobody reads later.

    views: where the call's operands lie, image and residual.
    """
    if call.family not in FAMILIES or home.shared or call.residual is None:
        return False
    image, residual = views
    same = residual.base.type == home.kind and residual.image == home.image(call)
    ours = residual.base != image.base and _made_here(residual.base)
    return same and ours and not _read_after(residual.base, call.request)


def _made_here(value: ir.Value) -> bool:
    """The caller's tensors and constants are not ours to write."""
    op = values.defining(value)
    return op is not None and op.name == "flow.dispatch"


def _read_after(value: ir.Value, request: ir.Operation) -> bool:
    return any(
        _read_after(user.results[0], request) if user.name in _SEES else _comes_after(user, request)
        for user in values.users(value)
    )


def _comes_after(op: ir.Operation, request: ir.Operation) -> bool:
    """Also for what reads the value from inside another operation: it may run at any time."""
    return op.block != request.block or request.is_before_in_block(op)
