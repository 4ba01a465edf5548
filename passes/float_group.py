"""A layer that stays f32, on its way to a microkernel: what its operations hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.graph.extract import epilogue_facts
from quantune.ir import match, values
from quantune.passes.integer_group import residual_value
from quantune.passes.ukernels.pack_fconv import Finish


@dataclass(frozen=True)
class FloatGroup:
    """A convolution or fully connected layer with what is fused into it.

    Attributes:
        weight: HWCF, HWC (depthwise) or [K, F].
        result: what the last of the layer's operations makes.
    """

    anchor: ir.Operation
    weight: NDArray[np.float32]
    finish: Finish
    residual: ir.Value | None
    result: ir.Value

    @property
    def image(self) -> ir.Value:
        return self.anchor.operands[0]

    @property
    def never_negative(self) -> bool:
        return self.finish.clamp[0] >= 0


def float_group(ops: list[ir.Operation], anchor: ir.Operation) -> FloatGroup | None:
    """The layer if it is a contraction with constant weights; anything else is none of the kernels'."""
    if not match.is_contraction(anchor):
        return None
    weight = values.constant(anchor.operands[1])
    assert weight is not None
    bias, _, clamp = epilogue_facts(ops, anchor)
    other = residual_value(ops, anchor)
    finish = Finish(bias, other is not None, clamp)
    return FloatGroup(anchor, weight.astype(np.float32, copy=False), finish, other, ops[-1].results[0])
