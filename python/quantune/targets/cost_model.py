"""What a processor needs for a layer where nothing can be timed: issue bounds, bandwidth, epilogue.

Figures are of one core. Rates of x86-64 were measured (AVX2 on Zen 3, VNNI and AMX on a server), those of Arm
are modelled from issue bounds; docs/costs.md says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRECISIONS = ("w8a8", "w7a8", "w6a8", "w5a8", "w4a8", "f32")
"""Of layers with weights; the others are "a8" or "f32"."""


@dataclass(frozen=True)
class CostModel:
    """One core with its kernels.

    Attributes:
        gigahertz: clock.
        macs: multiply-accumulates a cycle of convolutions and fully connected layers, by precision; what is
            missing runs as w8a8 does.
        depthwise: the same of depthwise convolutions: integers, f32.
        elements: outputs a cycle through the epilogue (scale, round, clamp, store), and what additions and
            pools read and write a cycle: integers, f32.
        bytes: weights a cycle from beyond the second-level cache.
        boundary: elements a cycle through a boundary of its own: quantize, dequantize.
        call: microseconds of a dispatch.
        packed_rows: at so few output pixels weights of 5 to 7 bits are stored in no more.
    """

    gigahertz: float
    macs: Mapping[str, float] = field(hash=False)
    depthwise: tuple[float, float]
    elements: tuple[float, float]
    bytes: float
    boundary: tuple[float, float]
    call: float
    packed_rows: int = 0

    def microseconds(self, cycles: float) -> float:
        """Of a dispatch that computes for so long."""
        return self.call + cycles / (self.gigahertz * 1e3)

    def rate(self, precision: str) -> float:
        """Multiply-accumulates a cycle."""
        return self.macs.get(precision, self.macs["w8a8"])


# Products of 8-bit weights have no proof and are widened one by one.
AVX2 = CostModel(
    gigahertz=3.2,
    macs={"w8a8": 17.0, "w7a8": 33.0, "w6a8": 41.0, "w5a8": 44.0, "w4a8": 45.0, "f32": 13.0},
    depthwise=(9.0, 4.0),
    elements=(4.0, 2.5),
    bytes=8.0,
    boundary=(0.5, 1.2),
    call=1.0,
)
AVX512_VNNI = CostModel(
    gigahertz=2.7,
    macs={"w8a8": 90.0, "f32": 26.0},
    depthwise=(12.0, 7.0),
    elements=(6.0, 4.0),
    bytes=8.0,
    boundary=(0.8, 2.0),
    call=1.0,
)
# Tiles of 4 bits are unpacked as they are read, again for every few strips of pixels.
AMX = CostModel(
    gigahertz=2.7,
    macs={"w8a8": 250.0, "w4a8": 200.0, "f32": 26.0},
    depthwise=(12.0, 7.0),
    elements=(6.0, 4.0),
    bytes=8.0,
    boundary=(0.8, 2.0),
    call=1.0,
    packed_rows=16,
)
# One vector instruction of eight products a cycle, in order; `sadalp` is the flush, at the lengths that the
# proof finds on trained weights (docs/kernels.md); 0.7 of that issue bound.
CORTEX_A53 = CostModel(
    gigahertz=1.4,
    macs={"w8a8": 3.6, "w7a8": 4.1, "w6a8": 4.3, "w5a8": 4.4, "w4a8": 4.4, "f32": 1.8},
    depthwise=(1.5, 0.8),
    elements=(0.4, 0.3),
    bytes=2.0,
    boundary=(0.2, 0.3),
    call=2.0,
)
# Widening adds run on a pipe of their own: no width is faster than another.
CORTEX_A72 = CostModel(
    gigahertz=1.5,
    macs={"w8a8": 7.2, "f32": 3.6},
    depthwise=(3.0, 1.8),
    elements=(0.8, 0.6),
    bytes=3.0,
    boundary=(0.3, 0.5),
    call=2.0,
)
# `sdot`: sixteen products an instruction of any width.
DOT_PRODUCT = CostModel(
    gigahertz=1.8,
    macs={"w8a8": 14.0, "f32": 3.6},
    depthwise=(2.5, 1.5),
    elements=(0.8, 0.6),
    bytes=3.0,
    boundary=(0.3, 0.5),
    call=2.0,
)
# `smmla`: thirty-two.
INT8_MATRIX = CostModel(
    gigahertz=2.4,
    macs={"w8a8": 50.0, "f32": 7.0},
    depthwise=(5.0, 3.5),
    elements=(1.6, 1.2),
    bytes=6.0,
    boundary=(0.6, 1.0),
    call=1.0,
)
