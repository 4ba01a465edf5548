"""The constants of elementwise arithmetic: quantization, requantization, addition of two images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.image import Frame, Image, Placement
from quantune.passes.ukernels.params import Blob, epilogue_fields
from quantune.passes.ukernels.workgroups import WORKGROUPS

ROW_BYTES = 4096  # of a framed row that becomes squares, as in qmap.h
SMALL = 16 * 1024  # values that are not worth a second thread


@dataclass(frozen=True)
class Pixels:
    """What is read and written: images [1, height, width, channels].

    Attributes:
        real: the input is f32, not u8.
        planes: the input is [1, channels, height, width] in f32 instead.
    """

    height: int
    width: int
    channels: int
    real: bool = False
    planes: bool = False

    def dense(self, out_bytes: int = 1, residual_bytes: int | None = None) -> Placement:
        """All operands as whole tensors; bytes of an element of the result and of the residual, if any."""

        def image(size: int) -> Image:
            return Image(0, self.channels * size, self.width * self.channels * size)

        residual = None if residual_bytes is None else image(residual_bytes)
        return Placement(image(4 if self.real else 1), image(out_bytes), residual)


def fits_squares(pixels: Pixels, frame: Frame) -> bool:
    """Whether the kernel can write this image, framed, as squares of two by two pixels."""
    width = frame.left + pixels.width + frame.right
    height = frame.top + pixels.height + frame.bottom
    even = width % 2 == height % 2 == 0
    # Vectors may be loaded from up to 8 bytes on, and be stored up to 16 before the end.
    return even and pixels.channels <= 4 and width * pixels.channels + 16 <= ROW_BYTES


def pack_map(
    pixels: Pixels,
    epilogue: Epilogue,
    placement: Placement | None = None,
    residual_f32: bool = False,
    squares: Frame | None = None,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y).

    epilogue: with one multiplier and one offset for all channels. placement: by default dense tensors.
    squares: the frame of an image that is written as squares, [1, height / 2, width / 2, 4 * channels] dense.
    """
    where = placement or pixels.dense(4 if epilogue.output is None else 1, 4 if residual_f32 else 1)
    rows = pixels.height
    if squares is not None:
        rows = (squares.top + pixels.height + squares.bottom) // 2
        row = (squares.left + pixels.width + squares.right) * 2 * pixels.channels
        where = replace(where, output=Image(0, pixels.channels, row), frame=squares)
    source = Image(0, 4, 4 * pixels.width) if pixels.planes else where.input
    values = pixels.height * pixels.width * pixels.channels
    block = rows if values <= SMALL else -(-rows // WORKGROUPS)
    header: dict[str, int | float] = {
        "height": pixels.height,
        "width": pixels.width,
        "channels": pixels.channels,
        "in_offset": source.offset,
        "in_step_x": source.step_x,
        "in_step_y": source.step_y,
        "in_plane": 4 * pixels.height * pixels.width if pixels.planes else 0,
        "in_f32": int(pixels.real or pixels.planes),
        "multiplier": float(epilogue.multiplier.item()),
        "offset": float(epilogue.offset.item()),
        "squares": 0 if squares is None else rows,
        "block_height": block,
    }
    header |= where.fields | epilogue_fields(epilogue, residual_f32)
    return Blob("qmap").finish(header), (-(-rows // block), 1)
