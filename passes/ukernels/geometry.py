"""A convolution's window, and the segments of memory that hold one output pixel's operands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels.image import Image, Placement, dense

STEP = 4  # operands a column takes at once, for most instruction sets
WIDEST_STEP = 8
GATHER_BYTES = 12288  # of stack, as in qconv_driver.h


@dataclass(frozen=True)
class Geometry:
    """A window over a padded input [1, H, W, C]; channels and filters are those of all groups together."""

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    out_height: int
    out_width: int
    filters: int
    groups: int = 1

    @property
    def rows(self) -> int:
        return self.out_height * self.out_width

    @property
    def whole_rows(self) -> bool:
        """Whether the taps of a kernel row lie side by side: the input's pixels must then do so too."""
        return self.kernel[1] > 1 and self.dilations[1] == 1 and self.groups == 1

    @property
    def supported(self) -> bool:
        """Whether all drivers can walk it: operands that must be gathered have to fit the stack."""
        parts = segments(self, step=WIDEST_STEP)
        return not parts.gathered or 12 * parts.depth <= GATHER_BYTES

    def dense(self, out_bytes: int = 1, residual_bytes: int | None = None, in_bytes: int = 1) -> Placement:
        """All operands as whole tensors; bytes of an element of the result, any residual, the input."""
        residual = None if residual_bytes is None else dense(self.out_width, self.filters * residual_bytes)
        output = dense(self.out_width, self.filters * out_bytes)
        return Placement(dense(self.width, self.channels * in_bytes), output, residual)


@dataclass(frozen=True)
class Segments:
    """One output pixel's operands in memory.

    Attributes:
        places: (start, bytes): the start as (kernel row, kernel column, byte beyond that pixel).
        order: int64 [depth]: the operand (of kernel row, kernel column, channel in order) at each place, or
            -1 where a place repeats an operand or is filled up: its weight is 0.
        gathered: bytes of a segment when these are fewer than a step, so that segments are copied; or 0.
        chunk: the length of all segments, or of the pieces that copied ones are cut to; 0 where it varies.
        step: operands that a column takes at once; lengths are multiples of it.
    """

    places: tuple[tuple[tuple[int, int, int], int], ...]
    order: NDArray[np.int64]
    gathered: int = 0
    chunk: int = 0
    step: int = STEP

    @property
    def depth(self) -> int:
        return len(self.order)

    @property
    def steps(self) -> list[int]:
        """Lengths in steps, as the product walks them."""
        return (
            [self.depth // self.step] if self.gathered else [length // self.step for _, length in self.places]
        )

    def table(self, geometry: Geometry, image: Image) -> bytes:
        """i32 [segments, 2]: byte offset from a pixel's first operand, bytes."""
        rows, columns = geometry.dilations
        found = [
            (y * rows * image.step_y + x * columns * image.step_x + extra, length)
            for (y, x, extra), length in self.places
        ]
        return np.asarray(found, "<i4").tobytes()


def segments(geometry: Geometry, chunk: int | None = None, step: int = STEP) -> Segments:
    """A kernel row (or, where its taps lie apart, a tap) is a run of bytes, cut to lengths the kernel takes.

    chunk: the greatest length, a multiple of the step, when all segments must be equally long; else as long
    as can be. What is left of a run is read together with the bytes before it, so that nothing behind it is.
    """
    channels = geometry.channels // geometry.groups
    kernel_h, kernel_w = geometry.kernel
    per_run = kernel_w if geometry.whole_rows else 1
    run = per_run * channels
    starts = [(y, x) for y in range(kernel_h) for x in range(0, kernel_w, per_run)]
    if run < step:
        operands = len(starts) * run
        pieces = math.ceil(operands / chunk) if chunk else 1
        length = math.ceil(math.ceil(operands / pieces) / step) * step
        order = np.where(np.arange(pieces * length) < operands, np.arange(pieces * length), -1)
        return Segments(tuple(((y, x, 0), run) for y, x in starts), order, run, length, step)
    places, order_parts = [], []
    for number, (y, x) in enumerate(starts):
        done = 0
        for start, length in _pieces(geometry, y, run, chunk, step):
            places.append(((y, x, start), length))
            operand = np.arange(start, start + length)
            order_parts.append(np.where((operand >= done) & (operand < run), operand + number * run, -1))
            done = start + length
    return Segments(tuple(places), np.concatenate(order_parts), 0, places[0][1] if chunk else 0, step)


def _pieces(geometry: Geometry, y: int, run: int, chunk: int | None, step: int) -> list[tuple[int, int]]:
    """(start, length) of a run's segments in kernel row y.

    A run of one chunk is read together with up to a step of the image beside it, which weights of 0 meet:
    behind it where there is a row below, else before it.
    """
    beyond = -run % step
    if not beyond or run + beyond > (chunk or 0) or not geometry.whole_rows or geometry.kernel[0] == 1:
        return _cuts(run, chunk, step)
    return [(-beyond if y == geometry.kernel[0] - 1 else 0, run + beyond)]


def _cuts(run: int, chunk: int | None, step: int) -> list[tuple[int, int]]:
    """The same of any run; only the last segment repeats bytes."""
    if chunk is None:
        whole = run // step * step
        return [(0, whole), *([(run - step, step)] if whole < run else [])]
    count = math.ceil(run / chunk)
    while (length := math.ceil(math.ceil(run / count) / step) * step) > run:
        count += 1
    return [(min(i * length, run - length), length) for i in range(count)]
