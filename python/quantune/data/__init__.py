"""Calibration and labelled data: image folders, .npz, Fashion-MNIST, photos in packages, noise."""

from quantune.data.dataset import Dataset, Sample, check_classes, check_labels
from quantune.data.preprocessing import Preprocessing, default_preprocessing
from quantune.data.sources import load_dataset

__all__ = [
    "Dataset",
    "Preprocessing",
    "Sample",
    "check_classes",
    "check_labels",
    "default_preprocessing",
    "load_dataset",
]
