"""What the float run over the calibration set leaves behind."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.calibration.histogram import Histogram
from quantune.errors import QuantuneError
from quantune.files import read_json, replacing, write_json

SCHEMA = "quantune.statistics/1"
SAMPLES_PER_IMAGE = 4096
"""Elements of each value kept per image: enough for an SQNR within some 0.1 dB, however large the network."""


@dataclass
class Statistics:
    """Histograms and samples of every value of the float network.

    Attributes:
        dataset: what was run, for people. images: how many. is_random: noise instead of data.
        histograms: value name → Histogram over all images.
        samples: value name → f32 [images, up to SAMPLES_PER_IMAGE], the same elements of every image
            (see `sample_indices`).
    """

    dataset: str
    images: int
    is_random: bool
    histograms: dict[str, Histogram] = field(default_factory=dict)
    samples: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """statistics.json for people and a .npz with the samples beside it."""
        with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
            np.savez(file, **self.samples)  # type: ignore[arg-type]
        histograms = {name: histogram.to_json() for name, histogram in self.histograms.items()}
        write_json(
            path,
            {
                "schema": SCHEMA,
                "dataset": self.dataset,
                "images": self.images,
                "is_random": self.is_random,
                "histograms": histograms,
            },
        )

    @staticmethod
    def load(path: Path) -> Statistics:
        """Raises QuantuneError naming the file when it is damaged or of another version."""
        raw: Any = read_json(path)
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise QuantuneError(f"{path} is not a statistics file of this version; delete it and rerun")
        try:
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
                samples = {name: archive[name] for name in archive.files}
            histograms = {name: Histogram.from_json(item) for name, item in raw["histograms"].items()}
            return Statistics(raw["dataset"], raw["images"], raw["is_random"], histograms, samples)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise QuantuneError(f"{path} or its .npz is damaged ({error}); delete both and rerun") from error


def sample_indices(name: str, size: int) -> NDArray[np.int64]:
    """Which of a value's `size` elements are kept: all, or a random choice that depends on the name only."""
    if size <= SAMPLES_PER_IMAGE:
        return np.arange(size)
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return np.sort(generator.choice(size, SAMPLES_PER_IMAGE, replace=False))
