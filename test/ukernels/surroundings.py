"""Images inside larger tensors, for kernels that read and write parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels.image import Frame, Image

Array = NDArray[Any]


@dataclass(frozen=True)
class Surroundings:
    """What lies round an image: `sides` in pixels (top, left, bottom, right), channels before and behind."""

    sides: tuple[int, int, int, int] = (0, 0, 0, 0)
    channels: tuple[int, int] = (0, 0)

    def dims(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of the tensor round an image [1, H, W, C]."""
        top, left, bottom, right = self.sides
        return 1, top + shape[1] + bottom, left + shape[2] + right, sum(self.channels) + shape[3]

    def image(self, shape: tuple[int, ...], element: int) -> Image:
        """Where the image lies in its tensor, whose elements have so many bytes."""
        dims = self.dims(shape)
        step_x = dims[3] * element
        first = (self.sides[0] * dims[2] + self.sides[1]) * step_x + self.channels[0] * element
        return Image(first, step_x, dims[2] * step_x)

    def put(self, image: Array, tensor: Array) -> Array:
        """Writes the image into its tensor and returns that."""
        top, left = self.sides[:2]
        rows, columns = slice(top, top + image.shape[1]), slice(left, left + image.shape[2])
        tensor[:, rows, columns, self.channels[0] : self.channels[0] + image.shape[3]] = image
        return tensor

    def noise(self, image: Array, random: np.random.Generator) -> Array:
        """The tensor of an operand: a kernel that reads past the image computes something else."""
        dims = self.dims(image.shape)
        if image.dtype == np.float32:
            return self.put(image, random.normal(size=dims).astype(np.float32))
        return self.put(image, random.integers(0, 256, dims).astype(np.uint8))

    def result(self, image: Array, frame: Frame) -> tuple[Array, NDArray[np.bool_]]:
        """(the tensor with the image and its frame, 0 elsewhere; which of its bytes a kernel must write)."""
        tensor = np.zeros(self.dims(image.shape), image.dtype)
        written = np.zeros(tensor.shape, bool)
        framed = Surroundings(
            (
                self.sides[0] - frame.top,
                self.sides[1] - frame.left,
                self.sides[2] - frame.bottom,
                self.sides[3] - frame.right,
            ),
            self.channels,
        )
        inner = (
            1,
            *(a - b for a, b in zip(tensor.shape[1:3], _outside(framed), strict=True)),
            image.shape[3],
        )
        filler = np.frombuffer(bytes([frame.fill]) * image.dtype.itemsize, image.dtype)[0]
        framed.put(np.full(inner, filler, image.dtype), tensor)
        framed.put(np.ones(inner, bool), written)
        return self.put(image, tensor), np.repeat(written.ravel(), image.dtype.itemsize)


def _outside(found: Surroundings) -> tuple[int, int]:
    top, left, bottom, right = found.sides
    return top + bottom, left + right
