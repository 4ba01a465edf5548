"""A sequence of samples, read one at a time so that memory stays bounded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """image: f32 [1, C, H, W], preprocessed. label: class index, or None. name: for messages."""

    image: Image
    label: int | None
    name: str


@dataclass(frozen=True)
class Dataset:
    """What `load_dataset` returns.

    description: one line for people. names: one a sample. labels: one a sample, or None.
    read: index -> f32 [C, H, W]; may raise QuantuneError naming the file.
    content: index -> the stored bytes that `read` decodes. context: what else the samples depend on.
    is_random: noise instead of data, which callers warn about.
    classes: how many there are in all, where that is known.
    """

    description: str
    names: Sequence[str]
    labels: Sequence[int] | None
    read: Callable[[int], Image]
    content: Callable[[int], bytes]
    context: str
    is_random: bool = False
    classes: int | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        for i, name in enumerate(self.names):
            label = None if self.labels is None else int(self.labels[i])
            yield Sample(self.read(i)[None], label, name)

    @property
    def has_labels(self) -> bool:
        return self.labels is not None

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal hash of names, contents, labels and preprocessing.

        Reads every sample's bytes but decodes nothing.
        """
        total = hashlib.sha256(self.context.encode())
        for i, name in enumerate(self.names):
            label = None if self.labels is None else int(self.labels[i])
            total.update(f"{name}\0{label}\0".encode())
            total.update(hashlib.sha256(self.content(i)).digest())
        return total.hexdigest()

    def stacked(self) -> tuple[Image, list[int] | None]:
        """All samples at once, where they fit in memory: f32 [N, C, H, W], preprocessed, and their labels."""
        images = np.stack([self.read(i) for i in range(len(self))])
        return images, None if self.labels is None else [int(label) for label in self.labels]

    def limited(self, limit: int) -> Dataset:
        """`limit` samples spread evenly over the whole, so that sorted classes are all represented.

        Returns the data set itself when it is no longer than that.
        """
        if limit >= len(self):
            return self
        chosen = [i * len(self) // limit for i in range(limit)]
        return replace(self._chosen(chosen), description=f"{limit} of {self.description}")

    def without(self, names: Collection[str]) -> Dataset:
        """All samples but those of these names."""
        taken = set(names)
        return self._chosen([i for i, name in enumerate(self.names) if name not in taken])

    def _chosen(self, indices: Sequence[int]) -> Dataset:
        return replace(
            self,
            names=[self.names[i] for i in indices],
            labels=None if self.labels is None else [self.labels[i] for i in indices],
            read=lambda i: self.read(indices[i]),
            content=lambda i: self.content(indices[i]),
        )


def check_classes(dataset: Dataset, classes: int | None, model: str) -> None:
    """Raises QuantuneError when the data are known to have another number of classes than `model`."""
    if None in (dataset.classes, classes) or dataset.classes == classes:
        return
    small = f"; take {model}@32" if re.fullmatch(r"zoo:\w+", model) else ""
    raise QuantuneError(
        f"{model} has {classes} classes, but these data have {dataset.classes}: {dataset.description}{small}"
    )


def check_labels(dataset: Dataset, classes: int) -> None:
    """Raises QuantuneError unless there are labels and all lie in 0 … classes - 1."""
    if dataset.labels is None:
        raise QuantuneError(
            f"{dataset.description}: no labels; add a labels.csv (file,label) "
            "or name the sub-folders 0, 1, 2 …"
        )
    for name, label in zip(dataset.names, dataset.labels, strict=True):
        if not 0 <= label < classes:
            raise QuantuneError(
                f"{name} has label {label}, but the model has {classes} classes (0 to {classes - 1}); "
                "give labels that fit the model"
            )
