"""From a picture to the tensor that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from quantune.errors import QuantuneError

CROP = "crop"
PAD = "pad"

# ImageNet's usual statistics (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225), in pixel values.
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)
# Fashion-MNIST's training set: mean 0.2860, standard deviation 0.3530.
_GREY_MEAN = (0.2860 * 255,)
_GREY_STD = (0.3530 * 255,)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a tensor.

    size: (height, width) of the tensor in pixels.
    channels: 1 (grey) or 3 (RGB).
    mean, std: one number a channel, in pixel values 0..255 (not 0..1): tensor = (pixel - mean) / std.
    resize: "crop" scales the shorter side to size * 256 / 224 and cuts the centre out, as ImageNet
        networks are evaluated; "pad" centres the picture on black, shrinking it only if it is too large.
    """

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str = CROP

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise QuantuneError(
                f"the model wants {self.channels} channels, pictures have 1 or 3; "
                "give the data as an .npz of f32"
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise QuantuneError(f"mean and std need {self.channels} numbers, one a channel")
        if min(self.size) < 1 or min(self.std) <= 0 or self.resize not in (CROP, PAD):
            raise QuantuneError(
                f"size and std must be positive, resize crop or pad: {self.size}, {self.std}, {self.resize}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the tensor."""
        return (self.channels, *self.size)

    def apply(self, image: Image.Image) -> NDArray[np.float32]:
        """Returns f32 [C, H, W]; raises what Pillow raises when the picture cannot be decoded."""
        image = _as_eight_bit(ImageOps.exif_transpose(image)).convert("L" if self.channels == 1 else "RGB")
        image = _centre_crop(image, self.size) if self.resize == CROP else _pad(image, self.size)
        return self._normalized(np.asarray(image))

    def apply_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same for [H, W] or [H, W, 3] bytes; a grey picture that is only padded does not need Pillow."""
        height, width = pixels.shape[:2]
        if self.resize == CROP or self.channels != 1 or pixels.ndim != 2:
            return self.apply(Image.fromarray(pixels))
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        if top < 0 or left < 0:
            return self.apply(Image.fromarray(pixels))
        canvas = np.zeros(self.size, np.uint8)
        canvas[top : top + height, left : left + width] = pixels
        return self._normalized(canvas)

    def _normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        real = pixels.astype(np.float32).reshape(*self.size, self.channels)
        tensor = (real - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))


def imagenet(size: int = 224) -> Preprocessing:
    """The preprocessing of torchvision's ImageNet checkpoints."""
    return Preprocessing((size, size), 3, _IMAGENET_MEAN, _IMAGENET_STD)


def fashion_mnist(size: int = 32) -> Preprocessing:
    """Grey 28x28 pictures, centred on black."""
    return Preprocessing((size, size), 1, _GREY_MEAN, _GREY_STD, PAD)


def default_preprocessing(input_shape: tuple[int, int, int]) -> Preprocessing:
    """A guess for a model that says nothing but its input shape (C, H, W).

    Raises QuantuneError when pictures cannot have that many channels.
    """
    channels, height, width = input_shape
    if channels == 1:
        return Preprocessing((height, width), 1, _GREY_MEAN, _GREY_STD, PAD)
    return Preprocessing((height, width), channels, _IMAGENET_MEAN, _IMAGENET_STD)


def _as_eight_bit(image: Image.Image) -> Image.Image:
    # Pillow clips 16-bit greys to 255 when it converts them, which turns most pictures white.
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _centre_crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    # Cut first: scaling a very long picture as a whole could need any amount of memory.
    height, width = size
    scale = min(image.height / height, image.width / width) * 224 / 256
    left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
    box = (left, top, left + width * scale, top + height * scale)
    return image.resize((width, height), Image.Resampling.BILINEAR, box)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    image = _scaled(image, min(1.0, height / image.height, width / image.width))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
