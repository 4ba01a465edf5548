"""From what the user writes after --calibration or --data to a data set."""

from __future__ import annotations

import re
from pathlib import Path

from quantune.data.arrays import fashion_mnist_dataset, npz_dataset, random_dataset
from quantune.data.dataset import Dataset
from quantune.data.images import Picture, folder_dataset, picture_dataset
from quantune.data.packages import package_folder
from quantune.data.preprocessing import Preprocessing, default_preprocessing
from quantune.errors import QuantuneError

_FORMS = "a folder of images, an .npz, fashion-mnist, package:NAME or random:N"

# The photographs among scikit-image's pictures, and the cuts that make several samples of each.
_SCIKIT_IMAGE_PHOTOS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "rocket.jpg",
)
_CUTS = (
    (0.0, 0.0, 1.0, 1.0),
    (0.0, 0.0, 0.65, 0.65),
    (0.35, 0.0, 1.0, 0.65),
    (0.0, 0.35, 0.65, 1.0),
    (0.35, 0.35, 1.0, 1.0),
    (0.25, 0.25, 0.75, 0.75),
)


def load_dataset(
    spec: str,
    preprocessing: Preprocessing | None,
    input_shape: tuple[int, int, int],
    limit: int | None = None,
    split: str = "test",
    require: bool = False,
) -> Dataset:
    """Finds the data; reads and decodes pictures only when they are asked for.

    spec: a folder, an .npz, "fashion-mnist", "package:scikit-image", "package:foolbox" or "random:N".
    preprocessing: None for a guess from `input_shape`, the model's (C, H, W).
    limit: at most that many samples, spread evenly over the data. require: fewer are an error.
    split: "test" or "train", for data that have both.
    Raises QuantuneError, one line that names the culprit and what to do.
    """
    if limit is not None and limit < 1:
        raise QuantuneError(f"the number of samples must be at least 1, not {limit}")
    dataset = _open(spec, preprocessing, input_shape, split)
    if require and limit is not None and len(dataset) < limit:
        raise QuantuneError(f"{limit} samples asked for, but {spec} has {len(dataset)}; ask for fewer")
    return dataset if limit is None else dataset.limited(limit)


def _open(spec: str, preprocessing: Preprocessing | None, shape: tuple[int, int, int], split: str) -> Dataset:
    if spec.startswith("random:"):
        return random_dataset(_random_count(spec), shape)
    path = Path(spec).expanduser()
    if path.suffix == ".npz" and path.is_file():
        return npz_dataset(path, _fitting(preprocessing, shape) if shape[0] in (1, 3) else None, shape)
    preprocessing = _fitting(preprocessing, shape)
    if spec == "fashion-mnist":
        return fashion_mnist_dataset(preprocessing, split)
    if spec.startswith("package:"):
        return _package_dataset(spec.removeprefix("package:"), preprocessing)
    if path.is_dir():
        return folder_dataset(path, preprocessing)
    if path.exists():
        raise QuantuneError(f"{spec} is neither a folder nor an .npz; give {_FORMS}")
    raise QuantuneError(f"{spec} does not exist; give {_FORMS}")


def _random_count(spec: str) -> int:
    match = re.fullmatch(r"random:(\d+)", spec)
    if not match or int(match[1]) < 1:
        raise QuantuneError(f"'{spec}': write random: and a number of samples, such as random:16")
    return int(match[1])


def _fitting(preprocessing: Preprocessing | None, shape: tuple[int, int, int]) -> Preprocessing:
    if preprocessing is None:
        return default_preprocessing(shape)
    if preprocessing.shape != shape:
        raise QuantuneError(
            f"the preprocessing makes {list(preprocessing.shape)}, the model wants {list(shape)}; "
            "change size and channels to fit"
        )
    return preprocessing


def _package_dataset(name: str, preprocessing: Preprocessing) -> Dataset:
    if name == "scikit-image":
        return _scikit_image(preprocessing)
    if name == "foolbox":
        return _foolbox(preprocessing)
    raise QuantuneError(f"no pictures are known in the package '{name}'; use scikit-image or foolbox")


def _scikit_image(preprocessing: Preprocessing) -> Dataset:
    folder = package_folder("skimage", "scikit-image") / "data"
    photos = [folder / photo for photo in _SCIKIT_IMAGE_PHOTOS if (folder / photo).is_file()]
    if not photos:
        raise QuantuneError(f"{folder} holds no photos; run: pip install --force-reinstall scikit-image")
    pictures = [Picture(photo, f"{photo.stem}/{i}", cut) for photo in photos for i, cut in enumerate(_CUTS)]
    return picture_dataset(
        pictures,
        None,
        preprocessing,
        f"{len(pictures)} cuts of {len(photos)} photos from scikit-image, no labels",
    )


def _foolbox(preprocessing: Preprocessing) -> Dataset:
    """The twenty ImageNet photos, or for grey models the twenty Fashion-MNIST pictures."""
    folder = package_folder("foolbox", "foolbox") / "data"
    kind, title = (
        ("fashionMNIST", "Fashion-MNIST") if preprocessing.channels == 1 else ("imagenet", "ImageNet")
    )
    files = [file for file in sorted(folder.glob(f"{kind}_*")) if re.fullmatch(r".*_\d+", file.stem)]
    if not files:
        raise QuantuneError(f"{folder} holds no {title} photos; run: pip install --force-reinstall foolbox")
    labels = [int(file.stem.rpartition("_")[2]) for file in files]
    return picture_dataset(
        [Picture(file, file.name) for file in files],
        labels,
        preprocessing,
        f"{len(files)} {title} pictures from foolbox, labelled",
    )
