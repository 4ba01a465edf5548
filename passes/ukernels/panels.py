"""How a tile's weights are stored: as bytes, or in the bits that hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels import pack_amx
from quantune.passes.ukernels.geometry import Geometry, Segments, segments
from quantune.passes.ukernels.layouts import layout_of

DEPTH = 1024  # operands whose weights are unpacked or kept in L1 at once, as in qconv_panels.h
LINE = 64  # weights that are packed together
NIBBLE = 7  # greatest weight of 4 bits
FAR_WEIGHTS = 1 << 18  # so many do not stay in L1


def fits_nibbles(weight: NDArray[np.int8]) -> bool:
    """Whether 4 bits hold all weights."""
    return bool(np.abs(weight).max(initial=0) <= NIBBLE)


def stored_bits(weight: NDArray[np.int8], waits: bool) -> int:
    """Bits of a stored weight: 4 where they hold all, else 8; between them only where that costs no time.

    waits: whether the kernel can unpack 5 to 7 bits as they come, and would wait for bytes otherwise.
    """
    if fits_nibbles(weight):
        return 4
    return max(5, int(np.abs(weight).max()).bit_length() + 1) if waits and weight.size > FAR_WEIGHTS else 8


def operand_segments(geometry: Geometry, weight: NDArray[np.int8], isa: str) -> Segments:
    """The segments as an instruction set's kernel walks them with these weights.

    Panels that are too deep to be unpacked at once, or to stay in L1, are walked in blocks of whole segments,
    all equally long.
    """
    if isa == "amx":
        return segments(geometry, pack_amx.CHUNK)
    layout = layout_of(isa)
    parts = segments(geometry, step=layout.step)
    if parts.depth > DEPTH and (fits_nibbles(weight) or layout.blocked):
        return segments(geometry, DEPTH, layout.step)
    return parts


def block_segments(parts: Segments) -> int:
    """Segments of a block: all, where the panel is walked at once."""
    if parts.gathered or parts.depth <= DEPTH or not parts.chunk:
        return len(parts.places)
    return DEPTH // parts.chunk


def bit_stream(weights: NDArray[np.int8], bits: int) -> NDArray[np.int8]:
    """[tiles, bytes] → bits / 8 as many: 8 weights plus 2^(bits - 1) are `bits` bytes, low bits first."""
    raised = (weights.reshape(-1, 1) + (1 << bits - 1)).astype(np.uint8)
    chosen = np.unpackbits(raised, axis=1, bitorder="little")[:, :bits]
    return np.packbits(chosen, bitorder="little").reshape(len(weights), -1).view(np.int8)


def nibbles(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """[tiles, bytes] → half as many: of every 64 weights plus 8, the first 32 in the low nibbles."""
    lines = (weights + NIBBLE + 1).astype(np.uint8).reshape(len(weights), -1, 2, LINE // 2)
    return (lines[:, :, 0] | lines[:, :, 1] << 4).reshape(len(weights), -1).view(np.int8)
