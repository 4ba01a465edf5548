"""The pictures of `make accuracy`: Fashion-MNIST's test set, and training pictures to validate on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.data.dataset import Dataset
from quantune.job import Job
from quantune.job.data import pictures_for

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
    return _read(pictures_for(job.model, DATA, images, "test"))


def validation(job: Job, images: int) -> Pictures:
    """Labelled training pictures, spread evenly, none of them in the job's calibration set."""
    data = pictures_for(job.model, DATA, split="train").without(job.calibration.names)
    return _read(data.limited(images))


def _read(data: Dataset) -> Pictures:
    images, labels = data.stacked()
    return Pictures(images, np.array(labels), data.fingerprint)
