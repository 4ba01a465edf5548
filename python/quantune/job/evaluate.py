"""Accuracy of compiled modules: top-1, agreement with fp32, SQNR of the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from quantune.backend.runner import Runner
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.progress import Progress, track
from quantune.sensitivity.metrics import Noise


def evaluate(
    runners: Mapping[str, Runner], dataset: Dataset, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Runs every image through every variant; `runners` must hold "fp32", which the others are compared with.

    Returns variant → {"images", "fp32_top1", "top1", "agreement", "sqnr_db"}; accuracies are fractions, null
    without labels. `sqnr_db` is over all outputs of all images.

    Raises QuantuneError for an empty data set or labels beyond the classes.
    """
    if not len(dataset):
        raise QuantuneError(f"there is nothing to evaluate: {dataset.description} is empty")
    hits = dict.fromkeys(runners, 0)
    agreed = dict.fromkeys(runners, 0)
    noise = {name: Noise() for name in runners}
    for sample in track(dataset, "evaluating", len(dataset), progress):
        results = {name: runner.run([sample.image]) for name, runner in runners.items()}
        exact = results["fp32"]
        if sample.label is not None and sample.label >= exact[0].size:
            raise QuantuneError(
                f"{sample.name} has label {sample.label}, but the model has {exact[0].size} classes"
            )
        for name, outputs in results.items():
            for x, y in zip(exact, outputs, strict=True):
                noise[name].add(x, y)
            hits[name] += int(np.argmax(outputs[0])) == sample.label
            agreed[name] += int(np.argmax(outputs[0])) == int(np.argmax(exact[0]))
    count = len(dataset)

    def accuracy(name: str) -> float | None:
        return hits[name] / count if dataset.has_labels else None

    return {
        name: {
            "images": count,
            "data": dataset.description,
            "fp32_top1": accuracy("fp32"),
            "top1": accuracy(name),
            "agreement": agreed[name] / count,
            "sqnr_db": round(noise[name].sqnr_db, 3),
        }
        for name in runners
    }
