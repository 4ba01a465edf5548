"""Images that are parts of larger tensors: slices and paddings of the IR as places in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import build, match, values
from quantune.passes.ukernels.image import Frame, Image


@dataclass(frozen=True)
class View:
    """An image inside the tensor `base`, [1, H, W, C] or [rows, C]: its first pixel and channel there."""

    base: ir.Value
    top: int = 0
    left: int = 0
    channel: int = 0

    @property
    def image(self) -> Image:
        """The place in bytes."""
        return place(
            values.shape(self.base), element_bytes(self.base.type), self.top, self.left, self.channel
        )


def place(dims: Sequence[int], element: int, top: int = 0, left: int = 0, channel: int = 0) -> Image:
    """The image from this pixel and channel on of a tensor [1, H, W, C] or [rows, C] of such elements."""
    width, channels = (dims[2], dims[3]) if len(dims) == 4 else (1, dims[-1])
    step_x = channels * element
    return Image((top * width + left) * step_x + channel * element, step_x, width * step_x)


def element_bytes(kind: ir.Type) -> int:
    return 4 if kind.element_type == build.f32() else 1


def tensor_bytes(kind: ir.Type) -> int:
    return int(element_bytes(kind) * math.prod(kind.shape))


def view_of(value: ir.Value, whole_pixels: bool) -> View:
    """`value` as a part of the largest tensor that it is sliced from.

    whole_pixels: the part must have all channels; a slice that has not stays as it is.
    """
    if values.rank(value) != 4:
        return View(value)
    top = left = channel = 0
    base = value
    while (found := _slice(base)) is not None:
        source, offsets = found
        if whole_pixels and values.shape(source)[3] != values.shape(value)[3]:
            break
        base, top, left, channel = source, top + offsets[1], left + offsets[2], channel + offsets[3]
    return View(base, top, left, channel)


def _slice(value: ir.Value) -> tuple[ir.Value, list[int]] | None:
    """(the image that `value` is a part of, where it begins there)."""
    op = values.defining(value)
    if op is None or op.name != "tensor.extract_slice" or len(op.operands) > 1:
        return None
    source = op.operands[0]
    if values.rank(source) != 4 or values.integers(op.attributes["static_strides"]) != [1] * 4:
        return None
    offsets = values.integers(op.attributes["static_offsets"])
    return (source, offsets) if offsets[0] == 0 else None


def border_of(op: ir.Operation) -> Frame | None:
    """The frame that a `tensor.pad` puts round an image, if that is what it does and a byte can fill it."""
    padding = match.padding_of(op)
    if padding is None or values.rank(op.operands[0]) != 4:
        return None
    low, high, filler = padding
    real = values.element_type(op.operands[0]) == build.f32()
    if low[0] or low[3] or high[0] or high[3] or min(*low, *high) < 0 or (real and filler != 0):
        return None
    return Frame(low[1], low[2], high[1], high[2], int(filler) & 0xFF)


def slice_of(tensor: ir.Value, top: int, left: int, channel: int, dims: Sequence[int]) -> ir.Value:
    """The image [1, H, W, C] of these dimensions inside `tensor`; the tensor itself if it is the whole."""
    if tuple(dims) == values.shape(tensor):
        return tensor
    return build.extract_slice(tensor, [0, top, left, channel], dims, [1] * 4)
