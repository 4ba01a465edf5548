"""Pictures in arrays: .npz files, Fashion-MNIST, and noise."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.data.dataset import Dataset, Image
from quantune.data.preprocessing import Preprocessing, default_preprocessing
from quantune.errors import QuantuneError

FASHION_MNIST_VARIABLE = "QUANTUNE_FASHION_MNIST"
_FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_FASHION_MNIST_FILES = {"test": "t10k", "train": "train"}


def npz_dataset(path: Path, preprocessing: Preprocessing | None, shape: tuple[int, int, int]) -> Dataset:
    """`images`: uint8 [N, H, W, C] (preprocessed like files) or f32 [N, C, H, W] (used as they are).

    `labels`: optional integers [N]. The arrays stay in memory as stored. Raises QuantuneError when
    the file is damaged, lacks `images`, or holds another type, another shape or values that are not finite.
    """
    images, labels = _load_npz(path)
    if images.ndim < 3 or len(images) == 0:
        raise QuantuneError(f"{path} holds no images: 'images' has the shape {list(images.shape)}")
    description = f"{len(images)} images in {path}, {'no labels' if labels is None else 'labelled'}"
    names = [f"{path.name}[{i}]" for i in range(len(images))]
    if images.dtype == np.float32:
        _check_floats(path, images, shape)
        return Dataset(
            description,
            names,
            labels,
            read=lambda i: np.ascontiguousarray(images[i]),
            content=lambda i: images[i].tobytes(),
            context="f32",
        )
    if images.dtype == np.uint8 and (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        return _pixel_dataset(
            images, labels, names, preprocessing or default_preprocessing(shape), description
        )
    channels, height, width = shape
    raise QuantuneError(
        f"{path}: 'images' is {images.dtype} {list(images.shape)}; save uint8 [N, H, W, {channels}] "
        f"or float32 [N, {channels}, {height}, {width}]"
    )


def fashion_mnist_dataset(preprocessing: Preprocessing, split: str) -> Dataset:
    """The Debian package dataset-fashion-mnist, or the folder that QUANTUNE_FASHION_MNIST names.

    `split`: "test" (10,000) or "train" (60,000). Raises QuantuneError when it is missing or damaged.
    """
    if split not in _FASHION_MNIST_FILES:
        raise QuantuneError(f"fashion-mnist has the splits test and train, not '{split}'")
    folder = Path(os.environ.get(FASHION_MNIST_VARIABLE) or _FASHION_MNIST_FOLDER)
    prefix = _FASHION_MNIST_FILES[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
    labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
    if len(images) != len(labels):
        raise QuantuneError(f"{folder}: {len(images)} {split} images but {len(labels)} labels; reinstall it")
    names = [f"fashion-mnist/{split}[{i}]" for i in range(len(images))]
    description = f"{len(images)} Fashion-MNIST {split} images, labelled"
    return _pixel_dataset(images, labels.tolist(), names, preprocessing, description, classes=10)


def random_dataset(count: int, shape: tuple[int, int, int]) -> Dataset:
    """`count` tensors of standard normal noise [C, H, W], the same on every run."""

    def read(i: int) -> Image:
        return np.random.default_rng([0, i]).standard_normal(shape, dtype=np.float32)

    return Dataset(
        description=f"{count} random inputs (noise, no data)",
        names=[f"random[{i}]" for i in range(count)],
        labels=None,
        read=read,
        content=lambda i: b"",
        context=f"noise {shape}",
        is_random=True,
    )


def _pixel_dataset(
    images: NDArray[np.uint8],
    labels: Sequence[int] | None,
    names: Sequence[str],
    preprocessing: Preprocessing,
    description: str,
    classes: int | None = None,
) -> Dataset:
    def read(i: int) -> Image:
        pixels = images[i, :, :, 0] if images.ndim == 4 and images.shape[-1] == 1 else images[i]
        return preprocessing.apply_pixels(pixels)

    return Dataset(
        description,
        names,
        labels,
        read,
        content=lambda i: images[i].tobytes(),
        context=repr(preprocessing),
        classes=classes,
    )


def _load_npz(path: Path) -> tuple[NDArray[Any], list[int] | None]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise QuantuneError(f"{path} is a single array, not an .npz; save it with numpy.savez")
        with loaded:
            if "images" not in loaded.files:
                found = ", ".join(loaded.files) or "nothing"
                raise QuantuneError(f"{path} has no array 'images' (it holds {found}); save one of that name")
            images = loaded["images"]
            labels = loaded["labels"] if "labels" in loaded.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise QuantuneError(f"cannot read {path} ({error}); save it again with numpy.savez") from error
    return images, None if labels is None else _checked_labels(path, labels, images.shape[:1])


def _checked_labels(path: Path, labels: NDArray[Any], wanted: tuple[int, ...]) -> list[int]:
    if labels.shape != wanted or labels.dtype.kind not in "iu":
        raise QuantuneError(
            f"{path}: 'labels' is {labels.dtype} {list(labels.shape)}; save integers of shape {list(wanted)}"
        )
    values: list[int] = labels.tolist()
    return values


def _check_floats(path: Path, images: NDArray[np.float32], shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    if images.shape[1:] != shape:
        raise QuantuneError(
            f"{path}: 'images' is float32 {list(images.shape)}; "
            f"the model wants [N, {channels}, {height}, {width}], so save the images like that"
        )
    for i, image in enumerate(images):
        if not np.isfinite(image).all():
            raise QuantuneError(f"{path}: image {i} holds NaN or infinity; remove or correct it")


def _read_idx(path: Path, rank: int) -> NDArray[np.uint8]:
    """Unsigned bytes in the IDX format: magic 0x0000 08 rank, big-endian sizes, then the data."""
    try:
        data = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise QuantuneError(
            f"{path} does not exist; run: apt-get install dataset-fashion-mnist, "
            f"or set {FASHION_MNIST_VARIABLE} to a folder with its four .gz files"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise QuantuneError(f"cannot read {path} ({error}); install dataset-fashion-mnist again") from error
    start = 4 + 4 * rank
    sizes = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    if data[:4] != bytes((0, 0, 8, rank)) or len(data) != start + math.prod(sizes):
        raise QuantuneError(f"{path} is not an IDX file of bytes; install dataset-fashion-mnist again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(sizes)
