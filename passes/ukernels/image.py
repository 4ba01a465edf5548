"""Where the pixels of an image lie that may be a part of a larger one: padded all round, or some channels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    """Pixel (y, x) lies at byte offset + y * step_y + x * step_x of its tensor."""

    offset: int
    step_x: int
    step_y: int


def dense(width: int, pixel_bytes: int) -> Image:
    """An image that is a whole tensor [1, H, width, pixel_bytes]."""
    return Image(0, pixel_bytes, width * pixel_bytes)


@dataclass(frozen=True)
class Frame:
    """Pixels round a result, which its kernel sets to the byte `fill`: the padding that its readers need."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    fill: int = 0


@dataclass(frozen=True)
class Placement:
    """Where a kernel's operands lie: `input` is the *padded* image, `output` lies inside `frame`."""

    input: Image
    output: Image
    residual: Image | None = None
    frame: Frame = Frame()

    @property
    def result_fields(self) -> dict[str, int | float]:
        """The fields of the output and its frame, which all kernels have."""
        return {
            "out_offset": self.output.offset,
            "out_step_x": self.output.step_x,
            "out_step_y": self.output.step_y,
            "frame_top": self.frame.top,
            "frame_left": self.frame.left,
            "frame_bottom": self.frame.bottom,
            "frame_right": self.frame.right,
            "frame_fill": self.frame.fill,
        }

    @property
    def fields(self) -> dict[str, int | float]:
        """The same with those of the residual, which most kernels may add."""
        residual = self.residual or Image(0, 0, 0)
        return self.result_fields | {
            "residual_offset": residual.offset,
            "residual_step_x": residual.step_x,
            "residual_step_y": residual.step_y,
        }
