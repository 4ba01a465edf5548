"""What becomes of an input in torch's layout, planes [1, C, H, W], once it is quantized."""

from __future__ import annotations

from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import quant, values
from quantune.passes.channels_last import channels_last
from quantune.passes.image_views import border_of
from quantune.passes.space_to_depth import SQUARES
from quantune.passes.ukernels.image import Frame
from quantune.passes.ukernels.pack_map import Pixels, fits_squares

TO_PIXELS = channels_last(4)


@dataclass(frozen=True)
class Planes:
    """The stored image that quantized planes are wanted as.

    Attributes:
        pixels: what the kernel reads.
        image: channels-last, or squares of it.
        squares: the frame that was put round it before; None if it is no squares.
    """

    pixels: Pixels
    image: ir.Value
    squares: Frame | None = None


def image_of_planes(quantized: ir.Value) -> Planes | None:
    """What becomes of [1, C, H, W]: channels-last pixels, or, if the only reader wants them so, squares."""
    moved = _reader(quantized, "linalg.transpose")
    if values.rank(quantized) != 4 or moved is None or _permutation(moved) != TO_PIXELS:
        return None
    image = moved.results[0]
    _, height, width, channels = values.shape(image)
    pixels = Pixels(height, width, channels, planes=True)
    return _squares(image, pixels) or Planes(pixels, image)


def _squares(image: ir.Value, pixels: Pixels) -> Planes | None:
    """What `space-to-depth` wrote."""
    frame: Frame | None = Frame()
    pad = _reader(image, "tensor.pad")
    if pad is not None:
        frame, image = border_of(pad), pad.results[0]
    split = _reader(image, "tensor.expand_shape")
    moved = None if split is None else _reader(split.results[0], "linalg.transpose")
    joined = None if moved is None else _reader(moved.results[0], "tensor.collapse_shape")
    if frame is None or moved is None or joined is None or _permutation(moved) != SQUARES:
        return None
    _, height, width, _ = values.shape(image)
    wanted = (1, height // 2, width // 2, 4 * pixels.channels)
    if values.shape(joined.results[0]) != wanted or not fits_squares(pixels, frame):
        return None
    return Planes(pixels, joined.results[0], frame)


def _reader(value: ir.Value, name: str) -> ir.Operation | None:
    """The one reader of a value, seen through casts to and from storage, if it is such an operation."""
    op = values.single_user(value)
    while op is not None and op.name == quant.STORAGE:
        op = values.single_user(op.results[0])
    return op if op is not None and op.name == name else None


def _permutation(op: ir.Operation) -> list[int]:
    return values.integers(op.attributes["permutation"])
