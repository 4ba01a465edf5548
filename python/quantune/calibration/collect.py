"""Inference 1: the compiled float network, instrumented, over the calibration set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.backend.runner import Runner
from quantune.calibration.histogram import Histogram
from quantune.calibration.statistics import Statistics, sample_indices
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.progress import Progress, track


def collect(runner: Runner, names: list[str], dataset: Dataset, progress: Progress) -> Statistics:
    """Runs every image once and keeps, of every value, a histogram and a fixed sample of elements.

    `names` are those of the instrumented module's results. One image's values are in memory at a time.

    Raises QuantuneError when the calibration set is empty or a value becomes NaN or infinite.
    """
    if not len(dataset):
        raise QuantuneError(f"the calibration set is empty ({dataset.description}); give at least one image")
    statistics = Statistics(dataset.description, len(dataset), dataset.is_random)
    kept: dict[str, list[NDArray[np.float32]]] = {}
    for sample in track(dataset, "calibrating: float run", len(dataset), progress):
        values = dict(zip(names, runner.run([sample.image]), strict=True)) | {"input": sample.image}
        for name, value in values.items():
            if name.startswith("<output"):
                continue
            statistics.histograms.setdefault(name, Histogram(name)).add(value)
            flat = value.reshape(-1)
            kept.setdefault(name, []).append(flat[sample_indices(name, flat.size)])
    statistics.samples = {name: np.stack(rows) for name, rows in kept.items()}
    return statistics
