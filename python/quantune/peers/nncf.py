"""NNCF's post-training quantization of an ONNX file, for OpenVINO to run."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.peers import openvino
from quantune.peers.export import INPUT

VALIDATION_BATCH = 100


@dataclass(frozen=True)
class Control:
    """NNCF's accuracy control: layers go back to float until accuracy has fallen by `max_drop` at most.

    images f32 [N, C, H, W] and labels [N] are what it validates on; max_drop is a fraction, 0.002 for 0.2
    points.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    max_drop: float


def quantize(source: Path, calibration: Dataset, control: Control | None = None) -> Any:
    """An OpenVINO model of `source` (ONNX, any batch) in 8 bits, by NNCF's defaults.

    Raises QuantuneError when NNCF is missing or fails.
    """
    try:
        import nncf
    except ImportError:
        raise QuantuneError("nncf is not installed: pip install 'quantune[accuracy]'") from None
    samples = nncf.Dataset([sample.image for sample in calibration])
    with _silent(nncf):
        try:
            model = openvino.read(source)
            if control is None:
                return nncf.quantize(model, samples, subset_size=len(calibration))
            return nncf.quantize_with_accuracy_control(
                model,
                samples,
                nncf.Dataset(list(_batches(control)), lambda pair: pair[0]),
                _validate,
                max_drop=control.max_drop,
                subset_size=len(calibration),
            )
        except (RuntimeError, ValueError, nncf.errors.InternalError) as error:
            raise QuantuneError(f"NNCF cannot quantize {source}: {str(error).strip()[:200]}") from error


def _batches(control: Control) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    for start in range(0, len(control.images), VALIDATION_BATCH):
        batch = slice(start, start + VALIDATION_BATCH)
        yield control.images[batch], control.labels[batch]


def _validate(
    compiled: Any, pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]
) -> tuple[float, list[float]]:
    """Accuracy, and that of every batch, by which NNCF ranks what to put back."""
    shares = [
        float(np.mean(np.argmax(compiled({INPUT: images})[0], axis=1) == labels)) for images, labels in pairs
    ]
    return float(np.mean(shares)), shares


@contextlib.contextmanager
def _silent(nncf: Any) -> Iterator[None]:
    """NNCF draws progress bars of its own and logs every step."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
