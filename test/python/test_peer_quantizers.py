"""Other tools' quantizers: any batch, every calibration method, NNCF; each close to the float network."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from quantune.data.arrays import random_dataset
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.ingress.torch_module import TorchModel
from quantune.peers import nncf, onnxruntime, openvino
from quantune.peers.export import Calibration, export_onnx, quantize_onnx
from quantune.sensitivity.metrics import noise_of
from quantune.zoo.layers import CeilMaxPool2d

SHAPE = (1, 9, 9)
CLASSES = 4


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def calibration() -> Dataset:
    return random_dataset(16, SHAPE)


@pytest.fixture(scope="module")
def images(calibration: Dataset) -> Any:
    return np.concatenate([sample.image for sample in calibration])


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A convolution, a pool whose last window hangs over the edge, a classifier; and its ONNX file."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.ReLU(), CeilMaxPool2d(3, 2), nn.Flatten(), nn.Linear(72, CLASSES))
    )
    path = tmp_path_factory.mktemp("network") / "float.onnx"
    export_onnx(TorchModel("net", module.eval(), SHAPE), path, any_batch=True)
    return module, path


def exact(module: nn.Module, images: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


@needs("onnx", "onnxruntime", "openvino")
def test_any_batch_gives_what_torch_gives(network: tuple[nn.Module, Path], images: Any) -> None:
    module, path = network
    for batch in (1, 5, 100):
        for found in (
            onnxruntime.logits(path, images, batch),
            openvino.logits(openvino.read(path), images, batch),
        ):
            np.testing.assert_allclose(found, exact(module, images), atol=1e-5)


@needs("onnx", "onnxruntime")
@pytest.mark.parametrize("way", ["MinMax", "Entropy", "Percentile"])
def test_every_calibration_of_onnx_runtime_works(
    network: tuple[nn.Module, Path], images: Any, calibration: Dataset, tmp_path: Path, way: Calibration
) -> None:
    module, path = network
    quantize_onnx(path, tmp_path / "int8.onnx", calibration, way)
    found = onnxruntime.logits(tmp_path / "int8.onnx", images)
    assert noise_of(exact(module, images), found).sqnr_db > 20
    assert (found != exact(module, images)).any()


@needs("onnx", "openvino", "nncf")
def test_nncf_quantizes_and_puts_back_what_hurts(
    network: tuple[nn.Module, Path],
    images: Any,
    calibration: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, path = network
    reference = exact(module, images)
    found = openvino.logits(nncf.quantize(path, calibration), images)
    assert noise_of(reference, found).sqnr_db > 20 and (found != reference).any()
    # labels are the float network's own classes: a drop of nothing is allowed
    control = nncf.Control(images, reference.argmax(axis=1), 0.0)
    kept = openvino.logits(nncf.quantize(path, calibration, control), images)
    assert (kept.argmax(axis=1) == reference.argmax(axis=1)).all()
    assert capsys.readouterr().out == ""


def test_without_nncf_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, calibration: Dataset, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nncf", None)
    with pytest.raises(QuantuneError, match=r"pip install 'quantune\[accuracy\]'"):
        nncf.quantize(tmp_path / "float.onnx", calibration)
