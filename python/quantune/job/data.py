"""Data for a model, preprocessed as it wants them."""

from __future__ import annotations

from quantune.data.dataset import Dataset, check_classes, check_labels
from quantune.data.sources import load_dataset
from quantune.ingress.model import Model


def calibration_for(model: Model, spec: str, limit: int | None) -> Dataset:
    """Pictures to calibrate on, of the training part where there is one; their labels are not looked at."""
    return load_dataset(spec, model.preprocessing, _shape(model), limit, split="train")


def pictures_for(
    model: Model, spec: str, limit: int | None = None, split: str = "test", require: bool = False
) -> Dataset:
    """Pictures whose labels, if they have any, are among the model's classes.

    require: fewer than `limit` are an error. Raises QuantuneError, as for all that `load_dataset` refuses.
    """
    found = load_dataset(spec, model.preprocessing, _shape(model), limit, split, require)
    if found.has_labels and model.classes is not None:
        check_classes(found, model.classes, model.spec)
        check_labels(found, model.classes)
    return found


def _shape(model: Model) -> tuple[int, int, int]:
    channels, height, width = model.input_shape[1:]
    return channels, height, width
