"""Data sets: where samples and labels come from, and what is said when they are wrong."""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from quantune.data import Preprocessing, check_classes, check_labels, default_preprocessing, load_dataset
from quantune.data.arrays import _FASHION_MNIST_FOLDER
from quantune.data.preprocessing import PAD, fashion_mnist, imagenet
from quantune.errors import QuantuneError

SHAPE = (3, 8, 8)
PLAIN = Preprocessing((8, 8), 3, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def picture(path: Path, value: int = 128, size: tuple[int, int] = (12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


def message(*args: Any, **options: Any) -> str:
    """The one line that loading and reading the data fails with."""
    with pytest.raises(QuantuneError) as caught:
        list(load_dataset(*args, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Preprocessing


def test_crop_takes_the_centre_at_seven_eighths() -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[16:240, 144:368] = 200  # exactly the centre 224x224
    out = Preprocessing((224, 224), 3, (0.0,) * 3, (1.0,) * 3).apply(Image.fromarray(pixels))
    assert out.shape == (3, 224, 224)
    assert out.dtype == np.float32
    assert (out == 200).all()


def test_mean_and_std_are_in_pixel_values() -> None:
    grey = Image.new("RGB", (300, 300), (124, 116, 104))
    assert np.abs(imagenet().apply(grey)).max() < 0.01
    white = Image.new("RGB", (300, 300), (255, 255, 255))
    assert Preprocessing((4, 4), 3, (127.0,) * 3, (128.0,) * 3).apply(white) == pytest.approx(1.0)


def test_pad_centres_on_black() -> None:
    out = fashion_mnist().apply(Image.new("L", (28, 28), 255))
    assert out.shape == (1, 32, 32)
    low, high = (0 - 72.93) / 90.015, (255 - 72.93) / 90.015
    assert out[0, 2:30, 2:30] == pytest.approx(high)
    assert out[0, :2] == pytest.approx(low)
    assert out[0, :, 30:] == pytest.approx(low)


@pytest.mark.parametrize("shape", [(28, 28), (27, 30), (32, 32), (1, 31), (40, 20), (33, 64)])
@pytest.mark.parametrize("preprocessing", [fashion_mnist(), PLAIN, imagenet(32)])
def test_bytes_without_pillow_make_the_same_tensor(
    shape: tuple[int, int], preprocessing: Preprocessing
) -> None:
    for pixels in (
        np.random.default_rng(1).integers(0, 256, shape, np.uint8),
        np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8),
    ):
        expected = preprocessing.apply(Image.fromarray(pixels))
        assert np.array_equal(preprocessing.apply_pixels(pixels), expected)


def test_pad_shrinks_what_is_too_large() -> None:
    out = Preprocessing((8, 8), 1, (0.0,), (1.0,), PAD).apply(Image.new("L", (64, 32), 255))
    assert (out[0, 2:6] == 255).all()
    assert (out[0, :2] == 0).all()


def test_sixteen_bit_greys_are_scaled_not_clipped() -> None:
    image = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    assert (PLAIN.apply(image) == 0x80).all()


def test_rotated_photo_is_turned_upright() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = 6  # the camera was held upright: turn by 90 degrees
    out = Preprocessing((8, 8), 3, (0.0,) * 3, (1.0,) * 3, PAD).apply(image)
    assert (out[:, :4] == 255).all()
    assert (out[:, 4:] == 0).all()


def test_very_long_picture_needs_little_memory() -> None:
    assert PLAIN.apply(Image.new("RGB", (20000, 1), (9, 9, 9))).shape == SHAPE


@pytest.mark.parametrize("arguments", [((8, 8), 4, (0.0,) * 4, (1.0,) * 4), ((8, 8), 3, (0.0,), (1.0,))])
def test_preprocessing_rejects_what_cannot_be(arguments: Any) -> None:
    with pytest.raises(QuantuneError):
        Preprocessing(*arguments)
    assert default_preprocessing((1, 5, 7)).shape == (1, 5, 7)


# Folders


def test_folder_is_recursive_sorted_and_unlabelled(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.bmp", ".hidden/x.png", "sub/._c.png"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    dataset = load_dataset(str(tmp_path), PLAIN, SHAPE)
    assert list(dataset.names) == ["a.JPG", "b.png", "sub/c.bmp"]
    assert not dataset.has_labels
    assert not dataset.is_random
    samples = list(dataset)
    assert len(samples) == len(dataset) == 3
    assert all(s.image.shape == (1, *SHAPE) and s.image.dtype == np.float32 for s in samples)
    assert all(s.label is None for s in samples)


def test_labels_from_the_table_come_first(tmp_path: Path) -> None:
    for name in ("3/a_1.png", "4/b_2.png"):
        picture(tmp_path / name)
    assert load_dataset(str(tmp_path), PLAIN, SHAPE).labels == [3, 4]
    (tmp_path / "labels.csv").write_text("file,label\n4/b_2.png,7\n3/a_1.png,6\nabsent.png,1\n")
    assert load_dataset(str(tmp_path), PLAIN, SHAPE).labels == [6, 7]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["imagenet_00_243.png", "imagenet_01_5.png"], [243, 5]),
        (["imagenet_00_243.png", "other.png"], None),
        (["IMG_0001.png", "IMG_0002.png"], None),
        (["cats/a.png", "7/b.png"], None),
    ],
)
def test_labels_from_names(tmp_path: Path, names: list[str], labels: list[int] | None) -> None:
    for name in names:
        picture(tmp_path / name)
    assert load_dataset(str(tmp_path), PLAIN, SHAPE).labels == labels


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("file,label\na.png,cat\n", "line 2"),
        ("file,label\na.png\n", "line 2"),
        ("name,class\na.png,1\n", "file,label"),
        ("file,label\nb.png,1\n", "no line for a.png"),
    ],
)
def test_bad_label_tables(tmp_path: Path, table: str, expected: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(table)
    text = message(str(tmp_path), PLAIN, SHAPE)
    assert expected in text
    assert "labels.csv" in text


def test_labels_must_fit_the_classes(tmp_path: Path) -> None:
    picture(tmp_path / "0/a.png")
    picture(tmp_path / "10/b.png")
    dataset = load_dataset(str(tmp_path), PLAIN, SHAPE)
    check_labels(dataset, 11)
    with pytest.raises(QuantuneError, match=r"10/b.png has label 10, but the model has 10 classes"):
        check_labels(dataset, 10)
    with pytest.raises(QuantuneError, match=r"no labels; add a labels.csv"):
        check_labels(load_dataset("random:2", None, SHAPE), 10)


@pytest.mark.parametrize("damage", ["text", "truncated", "empty"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_broken_image_is_named(tmp_path: Path, damage: str, suffix: str) -> None:
    picture(tmp_path / f"good{suffix}")
    bad = tmp_path / f"bad{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(bad)
    whole = bad.read_bytes()
    bad.write_bytes({"text": b"hello", "truncated": whole[: len(whole) // 2], "empty": b""}[damage])
    text = message(str(tmp_path), PLAIN, SHAPE)
    assert f"bad{suffix}" in text
    assert "remove" in text


def test_folders_without_images(tmp_path: Path) -> None:
    assert "holds no images" in message(str(tmp_path), PLAIN, SHAPE)
    assert "does not exist" in message(str(tmp_path / "nowhere"), PLAIN, SHAPE)
    single = picture(tmp_path / "a.png")
    assert "neither a folder nor an .npz" in message(str(single), PLAIN, SHAPE)


def test_images_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    samples = iter(load_dataset(str(tmp_path), PLAIN, SHAPE))
    assert next(samples).name == "a.png"
    with pytest.raises(QuantuneError, match=r"b\.png"):
        next(samples)


# Limits and fingerprints


def test_limit_spreads_over_sorted_classes(tmp_path: Path) -> None:
    for label in range(4):
        for i in range(3):
            picture(tmp_path / str(label) / f"{i}.png", value=label)
    dataset = load_dataset(str(tmp_path), PLAIN, SHAPE, limit=4)
    assert dataset.labels == [0, 1, 2, 3]
    assert [s.image.max() for s in dataset] == [0, 1, 2, 3]
    assert len(load_dataset(str(tmp_path), PLAIN, SHAPE, limit=100)) == 12
    text = message(str(tmp_path), PLAIN, SHAPE, limit=100, require=True)
    assert "100" in text and "12" in text
    assert "at least 1" in message(str(tmp_path), PLAIN, SHAPE, limit=0)


def test_fingerprint_follows_the_contents(tmp_path: Path) -> None:
    def fingerprint(preprocessing: Preprocessing = PLAIN, limit: int | None = None) -> str:
        return load_dataset(str(tmp_path), preprocessing, SHAPE, limit).fingerprint

    picture(tmp_path / "a.png", 10)
    picture(tmp_path / "b.png", 20)
    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    seen.append(fingerprint(limit=1))
    seen.append(fingerprint(Preprocessing((8, 8), 3, (1.0,) * 3, (1.0,) * 3)))
    picture(tmp_path / "b.png", 21)
    seen.append(fingerprint())
    (tmp_path / "labels.csv").write_text("file,label\na.png,1\nb.png,1\n")
    seen.append(fingerprint())
    assert len(set(seen)) == len(seen)


# Arrays


def test_npz_of_pixels_and_of_floats(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "p.npz", images=pixels, labels=np.array([2, 1, 0]))
    dataset = load_dataset(
        str(tmp_path / "p.npz"), Preprocessing((8, 8), 3, (0.0,) * 3, (1.0,) * 3, PAD), SHAPE
    )
    assert dataset.labels == [2, 1, 0]
    assert (next(iter(dataset)).image[0] == pixels[0].transpose(2, 0, 1)).all()

    floats = np.random.default_rng(0).standard_normal((2, 5, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "f.npz", images=floats)
    dataset = load_dataset(str(tmp_path / "f.npz"), None, (5, 8, 8))
    assert not dataset.has_labels
    assert (np.concatenate([s.image for s in dataset]) == floats).all()


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 28, 28, 1)])
def test_npz_of_grey_pixels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "g.npz", images=np.full(shape, 255, np.uint8))
    image = next(iter(load_dataset(str(tmp_path / "g.npz"), None, (1, 32, 32)))).image
    assert image.shape == (1, 1, 32, 32)
    assert image[0, 0, 16, 16] > 1


ONES = np.ones((2, 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"pictures": ONES}, "no array 'images' (it holds pictures)"),
        ({"images": ONES[:, :2]}, "wants [N, 3, 8, 8]"),
        ({"images": ONES.astype(np.float64)}, "float64"),
        ({"images": ONES[:0]}, "holds no images"),
        ({"images": np.float32(1)}, "holds no images"),
        ({"images": np.where(np.arange(8) == 3, np.nan, ONES).astype(np.float32)}, "image 0 holds NaN"),
        ({"images": np.ones((2, 8, 8, 7), np.uint8)}, "save uint8 [N, H, W, 3]"),
        ({"images": ONES, "labels": np.arange(3)}, "'labels' is int64 [3]"),
        ({"images": ONES, "labels": np.array([0.5, 1])}, "'labels' is float64"),
        ({"images": np.array([None, 1], object)}, "allow_pickle"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, NDArray[Any]], expected: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    assert expected in message(str(tmp_path / "x.npz"), PLAIN, SHAPE)


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=ONES)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "x.npz" in message(str(path), PLAIN, SHAPE)


def test_random_is_seeded_and_says_so() -> None:
    dataset = load_dataset("random:3", None, (4, 5, 6))
    assert dataset.is_random
    first, again = (np.concatenate([s.image for s in dataset]) for _ in range(2))
    assert first.shape == (3, 4, 5, 6)
    assert (first == again).all()
    assert (first[0] != first[1]).any()
    for spec in ("random:", "random:0", "random:-1", "random:x"):
        assert "random:16" in message(spec, None, SHAPE)


def test_preprocessing_must_fit_the_model() -> None:
    assert "[3, 8, 8]" in message("package:foolbox", PLAIN, (3, 9, 9))


def test_known_numbers_of_classes_must_agree() -> None:
    noise = load_dataset("random:2", None, SHAPE)
    check_classes(noise, 1000, "net.py:make")
    ten = replace(noise, classes=10, description="2 pictures")
    check_classes(ten, 10, "net.py:make")
    check_classes(ten, None, "net.py:make")
    with pytest.raises(
        QuantuneError, match=r"net\.py:make has 1000 classes, but these data have 10: 2 pictures$"
    ):
        check_classes(ten, 1000, "net.py:make")
    with pytest.raises(QuantuneError, match=r"zoo:resnet18 has 1000 classes.*; take zoo:resnet18@32$"):
        check_classes(ten, 1000, "zoo:resnet18")


# Fashion-MNIST


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes()))


def test_fashion_mnist_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTUNE_FASHION_MNIST", str(tmp_path))
    assert "apt-get install dataset-fashion-mnist" in message("fashion-mnist", None, (1, 32, 32))
    pixels = np.random.default_rng(0).integers(0, 255, (4, 28, 28), np.uint8)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", pixels)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([3, 1, 4, 1], np.uint8))
    dataset = load_dataset("fashion-mnist", None, (1, 32, 32))
    assert dataset.labels == [3, 1, 4, 1]
    got = np.stack([s.image[0, 0, 2:30, 2:30] for s in dataset]) * 90.015 + 72.93
    assert np.abs(got - pixels).max() < 1e-3
    images, labels = dataset.stacked()
    assert np.array_equal(images, np.concatenate([s.image for s in dataset])) and labels == dataset.labels
    assert dataset.classes == dataset.limited(2).classes == 10

    assert "train" in message("fashion-mnist", None, (1, 32, 32), split="train")
    assert "splits test and train" in message("fashion-mnist", None, (1, 32, 32), split="dev")
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.array([3], np.uint8))
    assert "4 test images but 1 labels" in message("fashion-mnist", None, (1, 32, 32))
    for content in (b"no gzip", gzip.compress(b""), gzip.compress(b"\0\0\x08\x03" + bytes(20))):
        (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
        assert "t10k-images" in message("fashion-mnist", None, (1, 32, 32))


@pytest.mark.skipif(
    not (_FASHION_MNIST_FOLDER / "t10k-images-idx3-ubyte.gz").is_file(),
    reason="Fashion-MNIST is not installed; run: apt-get install dataset-fashion-mnist",
)
def test_fashion_mnist_as_installed() -> None:
    test = load_dataset("fashion-mnist", None, (1, 32, 32))
    train = load_dataset("fashion-mnist", None, (1, 32, 32), limit=500, split="train")
    assert len(test) == 10_000
    assert test.labels is not None
    assert np.bincount(test.labels).tolist() == [1000] * 10
    check_labels(test, 10)
    pixels = np.concatenate([s.image[:, :, 2:30, 2:30] for s in train])
    assert abs(pixels.mean()) < 0.05
    assert abs(pixels.std() - 1) < 0.05


# Packages


@pytest.mark.parametrize(
    ("name", "module", "count", "labelled"),
    [("scikit-image", "skimage", 60, False), ("foolbox", "foolbox", 20, True)],
)
def test_photos_from_packages(name: str, module: str, count: int, labelled: bool) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs photos: pip install {name}")
    dataset = load_dataset(f"package:{name}", None, (3, 32, 32))
    assert len(dataset) == count
    assert dataset.has_labels == labelled
    images = [s.image for s in dataset]
    assert len({image.tobytes() for image in images}) == count
    assert all(image.std() > 0.05 for image in images)
    if labelled:
        check_labels(dataset, 1000)


def test_packages_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "use scikit-image or foolbox" in message("package:nothing", None, SHAPE)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install scikit-image" in message("package:scikit-image", None, SHAPE)
