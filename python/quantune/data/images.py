"""Pictures in files: folders, and parts of pictures that packages carry."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

from quantune.data.dataset import Dataset, Image
from quantune.data.labels import find_labels
from quantune.data.preprocessing import Preprocessing
from quantune.errors import QuantuneError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff", ".gif")

# What Pillow's decoders raise for damaged files.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Pillow.DecompressionBombError,
)


@dataclass(frozen=True)
class Picture:
    """A file, or the part of it inside `box`: (left, top, right, bottom) as fractions of its sides."""

    path: Path
    name: str
    box: tuple[float, float, float, float] | None = None


def folder_dataset(folder: Path, preprocessing: Preprocessing) -> Dataset:
    """All pictures below `folder`, sorted by name; labels as in `find_labels`.

    Raises QuantuneError when there are none.
    """
    files = _pictures_below(folder)
    if not files:
        raise QuantuneError(f"{folder} holds no images ({', '.join(EXTENSIONS)}); name a folder that does")
    labels, source = find_labels(folder, files)
    pictures = [Picture(folder / file, file.as_posix()) for file in files]
    return picture_dataset(pictures, labels, preprocessing, f"{len(files)} images in {folder}, {source}")


def picture_dataset(
    pictures: Sequence[Picture],
    labels: Sequence[int] | None,
    preprocessing: Preprocessing,
    description: str,
) -> Dataset:
    """Decodes each picture when it is read; a broken one raises QuantuneError naming it."""
    return Dataset(
        description=description,
        names=[picture.name for picture in pictures],
        labels=labels,
        read=lambda i: _read(pictures[i], preprocessing),
        content=lambda i: _bytes(pictures[i].path),
        context=repr((preprocessing, [picture.box for picture in pictures if picture.box])),
    )


def _pictures_below(folder: Path) -> list[Path]:
    """Relative paths; hidden files and folders are left out, because systems litter them (._x.jpg)."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            if file.lower().endswith(EXTENSIONS) and not file.startswith("."):
                found.append((Path(parent) / file).relative_to(folder))
    return sorted(found)


def _read(picture: Picture, preprocessing: Preprocessing) -> Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of very large pictures and of damaged metadata, neither of which matters here.
            warnings.simplefilter("ignore")
            with Pillow.open(picture.path) as opened:
                opened.load()
                return preprocessing.apply(_cut(opened, picture.box))
    except _DECODE_ERRORS as error:
        reason = " ".join(str(error).split())
        raise QuantuneError(
            f"{picture.path} is not a readable image ({reason}); remove or replace it"
        ) from error


def _cut(image: Pillow.Image, box: tuple[float, float, float, float] | None) -> Pillow.Image:
    if box is None:
        return image
    left, top, right, bottom = box
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round(right * width), round(bottom * height))
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise QuantuneError(f"cannot read {path}: {error.strerror}; remove or replace it") from error
