"""name-layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from iree.compiler import ir

from quantune.ir import match, values
from quantune.passes.base import Pass, Report

_SETUP = ("arith.constant", "tensor.empty", "linalg.fill", "func.return")
_KINDS = {
    "tensor.concat": "concat",
    "tensor.pad": "pad",
    "tensor.expand_shape": "reshape",
    "tensor.collapse_shape": "reshape",
    "linalg.transpose": "transpose",
    "tensor.extract_slice": "slice",
    "linalg.pooling_nhwc_max": "max_pool",
    "linalg.pooling_nhwc_sum": "avg_pool",
}


@dataclass(frozen=True)
class NameLayers(Pass):
    """Gathers operations into fused layers and names each after the torch module it came from.

    A layer is an anchor (contraction, pooling, addition, …) with what fuses into it: the padding before it,
    then bias, residual addition and clamp, in this order, as long as each intermediate value has a single
    user. An addition of two contractions goes to the later one, whose other operand is then ready. Every
    operation of a layer carries `quantune.layer`; every later pass, the plan and the report speak of layers
    by these names.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf ins(%x, %w) outs(%0)   loc("torch:layer1.0.conv2|model.py":19:0)
        %2 = linalg.generic ins(%1, %bias)  { addf }
        %3 = linalg.generic ins(%2, %skip)  { addf }
        %4 = linalg.generic ins(%3)         { max with 0 }
    After:
        %1 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "layer1.0.conv2"} ins(%x, %w) outs(%0)
        …the three generics carry the same attribute.

    Clamps may come in several operations, and so may reshapes.

    Left alone: constants, `tensor.empty`, `linalg.fill`. Operations without a known meaning become layers of
    kind `opaque`.
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        ops = [op for op in values.operations(function) if op.name not in _SETUP]
        groups = _Groups(ops)
        names = _Names()
        anchors = [op for op in ops if op in groups.members]
        for anchor in sorted(anchors, key=lambda op: match.contraction_kind(op) is None):
            name = names.unique(anchor)
            for member in groups.members[anchor]:
                member.attributes[values.LAYER] = ir.StringAttr.get(name)
        return {
            "layers": len(groups.members),
            "contractions": sum(match.contraction_kind(a) is not None for a in groups.members),
        }


class _Groups:
    """Anchor → operations of its layer. Later anchors choose first: an addition joins its last producer."""

    def __init__(self, ops: list[ir.Operation]) -> None:
        self.taken: set[ir.Operation] = set()
        self.members: dict[ir.Operation, list[ir.Operation]] = {}
        strong = [op for op in ops if match.is_contraction(op)]
        pools = [op for op in ops if "pooling" in op.name or match.spatial_sum(op) is not None]
        adds = [op for op in ops if match.is_plain_add(op)]
        for anchors in (reversed(strong), pools, adds, ops):
            for op in anchors:
                if op not in self.taken:
                    self.claim(op)

    def claim(self, anchor: ir.Operation) -> None:
        group = [anchor]
        before = values.defining(anchor.operands[0]) if len(anchor.operands) else None
        if before is not None and before not in self.taken and self.absorbs_padding(anchor, before):
            group.insert(0, before)
        is_sum = "sum" in anchor.name or match.spatial_sum(anchor) is not None
        group += self.mean(anchor) if is_sum else self.epilogue(anchor) if len(anchor.results) == 1 else []
        self.members[anchor] = group
        self.taken.update(group)

    def absorbs_padding(self, anchor: ir.Operation, before: ir.Operation) -> bool:
        padding = match.padding_of(before)
        if padding is None or values.single_user(before.results[0]) is None:
            return False
        low, high, filler = padding
        if any(low[i] or high[i] for i in (0, len(low) - 1)):
            return False
        if match.contraction_kind(anchor) or anchor.name == "linalg.pooling_nhwc_sum":
            return filler == 0.0
        return anchor.name == "linalg.pooling_nhwc_max" and filler == -np.inf

    def mean(self, anchor: ir.Operation) -> list[ir.Operation]:
        user = values.single_user(anchor.results[0])
        return (
            [user] if user is not None and user not in self.taken and match.divisor(user) is not None else []
        )

    def epilogue(self, anchor: ir.Operation) -> list[ir.Operation]:
        """What follows an anchor: bias, residual, clamps, in this order; after a reshape, more reshapes."""
        found: list[ir.Operation] = []
        stage = _BIAS if match.is_contraction(anchor) else _CLAMP
        mergeable = (
            match.is_contraction(anchor)
            or match.is_plain_add(anchor)
            or match.clamp_bounds(anchor) is not None
        )
        value = anchor.results[0]
        while (user := values.single_user(value)) is not None and user not in self.taken:
            if _KINDS.get(anchor.name) == "reshape" == _KINDS.get(user.name):
                pass
            elif stage == _BIAS and match.bias_operand(user, value) is not None:
                stage = _RESIDUAL
            elif (stage <= _RESIDUAL and match.residual_operand(user, value) is not None) or (
                mergeable and match.clamp_bounds(user) is not None
            ):
                stage = _CLAMP
            else:
                break
            found.append(user)
            value = user.results[0]
        return found


_BIAS, _RESIDUAL, _CLAMP = range(3)  # what may come next in an epilogue


def _generic_kind(anchor: ir.Operation) -> str:
    if match.spatial_sum(anchor) is not None:
        return "avg_pool"
    if match.is_plain_add(anchor):
        return "add"
    return "clamp" if match.clamp_bounds(anchor) is not None else anchor.name.split(".")[-1]


class _Names:
    """Unique names: the torch module's path, then with the operation's kind, then numbered."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()

    def unique(self, anchor: ir.Operation) -> str:
        path, _, _ = values.source(anchor)
        kind = match.contraction_kind(anchor) or _KINDS.get(anchor.name) or _generic_kind(anchor)
        base = path or kind
        if base in self.used and match.contraction_kind(anchor) is None and path:
            base = f"{path}.{kind}"
        self.used[base] += 1
        return base if self.used[base] == 1 else f"{base}#{self.used[base]}"
