"""EfficientNet-Lite0 by others: two tools' int8, and f32 whose weights were merely stored in bfloat16.

The last shows which photos are ties: what it decides otherwise no arithmetic in 8 bits can be blamed for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from quantune.backend.runner import Runner
from quantune.backend.signature import Signature
from quantune.data import Dataset
from quantune.ingress.torch_module import TorchModel, load_torch
from quantune.peers import nncf, onnxruntime, openvino
from quantune.peers.export import Calibration, export_onnx, quantize_onnx

Logits = NDArray[np.float32]
WAYS: tuple[Calibration, ...] = ("MinMax", "Percentile")
BITS = {"f32 with bfloat16 weights": 16.0}
"""Of a weight, where they are not 8."""


@dataclass
class Other:
    """A runner of something that is no module of ours: images [N, C, H, W] → logits [N, classes]."""

    logits: Callable[[Logits], Logits]
    signature: Signature

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self.logits(inputs[0])]


def runners(spec: str, calibration: Dataset, signature: Signature, folder: Path) -> dict[str, Runner]:
    """Row → what runs it. Raises QuantuneError when a tool is missing or fails."""
    source, model = folder / "float.onnx", load_torch(spec)
    export_onnx(model, source, any_batch=True)
    found: dict[str, Callable[[Logits], Logits]] = {}
    for way in WAYS:
        path = source.with_name(f"{way.lower()}.onnx")
        quantize_onnx(source, path, calibration, way)
        found[f"ONNX Runtime int8, {way}"] = partial(onnxruntime.logits, path)
    found["NNCF int8"] = partial(openvino.logits, nncf.quantize(source, calibration))
    found["f32 with bfloat16 weights"] = _rounded(model)
    return {name: Other(logits, signature) for name, logits in found.items()}


def _rounded(model: TorchModel) -> Callable[[Logits], Logits]:
    """Changes the model, which has been exported by then."""
    module = model.module
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))

    def logits(images: Logits) -> Logits:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(images)), np.float32)

    return logits
