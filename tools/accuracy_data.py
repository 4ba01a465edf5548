"""The pictures of `make accuracy`: Fashion-MNIST's test set, and training pictures to validate on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.data.dataset import Dataset
from quantune.data.sources import load_dataset
from quantune.job import Job

DATA = "fashion-mnist"
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Pictures:
    """images f32 [N, C, H, W], labels [N]; fingerprint of both."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    fingerprint: str


def pictures(job: Job, images: int) -> Pictures:
    """The test set, or as many of it, spread evenly."""
    return _read(_dataset(job, images, "test"))


def validation(job: Job, images: int) -> Pictures:
    """Labelled training pictures, spread evenly, none of them in the job's calibration set."""
    data = _dataset(job, None, "train").without(job.calibration.names)
    return _read(data.limited(images))


def _dataset(job: Job, images: int | None, split: str) -> Dataset:
    channels, height, width = job.model.input_shape[1:]
    return load_dataset(DATA, job.model.preprocessing, (channels, height, width), images, split)


def _read(data: Dataset) -> Pictures:
    images, labels = data.stacked()
    return Pictures(images, np.array(labels), data.fingerprint)
