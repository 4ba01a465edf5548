"""Labelled pictures as tensors: what is trained on, and what is held out to judge by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from quantune.data.augmentation import augment
from quantune.data.dataset import Dataset, check_labels
from quantune.errors import QuantuneError

SHIFT = 2
"""Pixels by which training pictures are shifted at most."""


@dataclass(frozen=True)
class Pictures:
    """images: f32 [N, C, H, W], preprocessed. labels: int64 [N]. black: of a picture's edge."""

    images: Tensor
    labels: Tensor
    black: float

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Pictures:
        return Pictures(self.images.to(device), self.labels.to(device), self.black)

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.images.cpu().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


def divided(dataset: Dataset, classes: int, held: int, seed: int) -> tuple[Pictures, Pictures]:
    """(training, validation), drawn at random by `seed`; `held` for validation, a quarter of all at most.

    Raises QuantuneError without labels, for labels beyond `classes`, and for fewer than 8 pictures.
    """
    check_labels(dataset, classes)
    if len(dataset) < 8:
        raise QuantuneError(f"{dataset.description}: training bits takes at least 8 labelled pictures")
    images, labels = dataset.stacked()
    order = np.random.default_rng(seed).permutation(len(images))
    held = min(held, len(images) // 4)
    whole = torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)
    black = float(images.min())
    parts = (order[held:], order[:held])
    train, validation = (Pictures(whole[0][part], whole[1][part], black) for part in parts)
    return train, validation


def batches(pictures: Pictures, size: int, count: int, seed: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """`count` batches, each a random choice, varied; they depend on nothing but the arguments."""
    generator = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**62)))
    found = []
    for _ in range(count):
        index = torch.randint(len(pictures), (min(size, len(pictures)),), generator=generator)
        images = augment(pictures.images[index.to(pictures.images.device)], pictures.black, SHIFT, generator)
        found.append((images, pictures.labels[index.to(pictures.labels.device)]))
    return found
