"""What the instruction sets' convolution kernels want the operands and weights to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How one instruction set multiplies.

    Attributes:
        step: operands of one column that lie side by side, as many as an instruction sums.
        shift: what the kernel takes from activations to make them s8. Panels then begin with what the sums
            lack.
        lane: products that a step adds to one 16-bit lane, which the flush schedule must prove safe; 0 for
            sums in 32 bits.
        biased: lanes start from biases, which stand in the schedule; panels then begin with what the sums
            lack, too. Operands of either sign gain nothing from that.
        blocked: deep panels of bytes are walked in blocks that stay in L1, as those of nibbles always are.
    """

    step: int = 4
    shift: int = 0
    lane: int = 0
    biased: bool = False
    blocked: bool = False

    def operands(self, largest: int) -> tuple[int, int]:
        """The least and the greatest operand for activations of 0..largest."""
        return -self.shift, largest - self.shift


_LAYOUTS = {
    "avx2": Layout(lane=2, biased=True, blocked=True),
    "neon": Layout(shift=128, lane=1),
    "dotprod": Layout(shift=128),
    "i8mm": Layout(step=8),
}


def layout_of(isa: str | None) -> Layout:
    """The layout for an instruction set's `qconv`; that of plain dot products where nothing else is said."""
    return _LAYOUTS.get(isa or "", Layout())
