"""A torch module → ONNX, and ONNX → ONNX with QDQ pairs: the files that peers run."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from quantune import files
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError, UnsupportedError
from quantune.ingress.torch_module import TorchModel

INPUT, OUTPUT = "input", "output"
OPSET = 17
LARGEST_ONNX = 2 << 30
"""Bytes that fit one protobuf."""
Calibration = Literal["MinMax", "Entropy", "Percentile"]
"""ONNX Runtime's ways to find a range, as it calls them."""


def export_onnx(model: TorchModel, output: Path, any_batch: bool = False) -> None:
    """Writes the network as ONNX, batch norms folded by the exporter.

    any_batch: for any number of pictures at once, else for one.

    Raises UnsupportedError with torch's reason when it cannot be exported.
    """
    if sum(tensor.nbytes for tensor in model.module.state_dict().values()) >= LARGEST_ONNX:
        raise UnsupportedError(
            f"{model.name} has over 2 GiB of weights, too many for one ONNX file: no peers"
        )
    example = torch.zeros(1, *model.input_shape)
    with files.replacing(output) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # The exporter made for TorchScript: it folds batch norms, and needs no further package.
            torch.onnx.export(
                model.module,
                (example,),
                temporary,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamic_axes={name: {0: "batch"} for name in (INPUT, OUTPUT)} if any_batch else None,
                dynamo=False,
            )
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UnsupportedError(f"torch cannot export {model.name} to ONNX: {reason[:200]}") from error


def quantize_onnx(source: Path, output: Path, calibration: Dataset, method: Calibration = "MinMax") -> None:
    """Writes `source` with u8 activations and s8 weights per output channel, by ONNX Runtime's own quantizer.

    Ranges are the minima and maxima over the calibration set, its default, or found by another of its
    methods. Raises QuantuneError if it fails.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    with files.replacing(output) as temporary, _silent():
        prepared = temporary.with_suffix(".prepared.onnx")
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                temporary,
                _reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod[method],
            )
        except OSError:  # which names the file
            raise
        except Exception as error:
            raise QuantuneError(f"ONNX Runtime cannot quantize {source}: {str(error)[:200]}") from error
        finally:
            prepared.unlink(missing_ok=True)


def _reader(calibration: Dataset) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The calibration set as ONNX Runtime reads it, one picture at a time."""

        def __init__(self) -> None:
            self._samples: Iterator[dict[str, NDArray[np.float32]]] = (
                {INPUT: np.ascontiguousarray(sample.image)} for sample in calibration
            )

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._samples, None)

    return Reader()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The quantizer prints, and logs advice on the root logger that nobody can follow here."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
