"""Other engines beside ours: the same network, the same bench, and errors that say what to do."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import quantune
from quantune import peers, targets
from quantune.backend.runner import HostRunner
from quantune.cli import options
from quantune.cli.main import run
from quantune.data.arrays import random_dataset
from quantune.errors import QuantuneError
from quantune.ingress.torch_module import load_torch
from quantune.job.folder import JobOptions, start_job
from quantune.peers import openvino
from quantune.progress import Silent

missing = [name for name in (*peers.PEERS, *peers.NEEDED) if importlib.util.find_spec(name) is None]
installed = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")

NET = """
import torch
from torch import nn

INPUT_SHAPE = (3, 16, 16)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.fc = nn.Linear(16, 5)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = x + nn.functional.relu6(self.pointwise(self.depthwise(x)))
        return self.fc(x.mean((2, 3)))

def net():
    return Net().eval()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py and out/, compiled to fp32 and int8."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "net.py").write_text(NET)
    words = ["compile", f"{folder / 'net.py'}:net", "--calibration", "random:3", "--strategy", "uniform-int8"]
    assert run([*words, "-o", str(folder / "out")]) == 0
    return folder


def bench(*arguments: object, environment: dict[str, str] | None = None) -> Any:
    """`quantune bench … --json` in a process of its own, since OpenVINO reads its limit once."""
    words = [str(word) for word in ("bench", *arguments, "--rounds", 2, "--json")]
    variables = os.environ | {"PYTHONPATH": str(Path(quantune.__file__).parents[1])} | (environment or {})
    command = [sys.executable, "-m", "quantune.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@installed
def test_peers_have_rows_beside_ours(place: Path) -> None:
    found = bench(place / "out", "--peers", "openvino,onnxruntime", "--threads", "1,2")
    names = [("quantune", "fp32"), ("quantune", "int8"), ("iree", "fp32-default"), ("iree", "fp32-best")]
    names += [(peer, variant) for peer in ("openvino", "onnxruntime") for variant in ("fp32", "int8")]
    rows = found["rows"]
    assert [(row["threads"], row["system"], row["variant"]) for row in rows] == [
        (threads, *name) for threads in (1, 2) for name in names
    ]
    assert all(0 < row["minimum_ms"] <= row["latency_ms"] and row["size_bytes"] > 0 for row in rows)
    settings = {row["system"]: row["settings"] for row in rows}
    assert settings["openvino"]["INFERENCE_PRECISION_HINT"] == "f32"
    assert not any("instruction_set" in found for found in settings.values())
    assert {"openvino", "onnxruntime", "onnx"} <= set(found["versions"])
    text = " ".join(found["verdicts"])
    assert "OpenVINO int8" in text and "ONNX Runtime fp32" in text
    assert run(["report", str(place / "out")]) == 0
    assert "ONNX Runtime int8" in (place / "out" / "report.html").read_text()


@installed
def test_onnx_files_are_the_network_and_are_made_once(place: Path) -> None:
    """In fp32 as exact as PyTorch, in int8 close to it; nothing is exported twice."""
    from quantune.peers import onnxruntime
    from quantune.peers.models import onnx_files

    asked = JobOptions(f"{place / 'net.py'}:net", "random:3")
    job = start_job(asked, place / "out", Silent())
    files = onnx_files(job, asked)
    times = {path: path.stat().st_mtime_ns for path in files.values()}
    assert {path: path.stat().st_mtime_ns for path in onnx_files(job, asked).values()} == times
    image = job.example()
    with torch.no_grad():
        expected = load_torch(asked.model).module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(onnxruntime.run(files["fp32"], image), expected, rtol=1e-4, atol=1e-5)
    quantized = onnxruntime.run(files["int8"], image)
    assert 0 < np.square(quantized - expected).sum() < 1e-2 * np.square(expected).sum()
    files["int8"].unlink()
    again = onnx_files(job, asked)
    assert again["int8"].exists() and again["fp32"].stat().st_mtime_ns == times[files["fp32"]]


@installed
def test_int8_files_have_u8_activations_and_s8_weights_per_channel(place: Path) -> None:
    import onnx
    from onnx import TensorProto, numpy_helper

    from quantune.peers.models import onnx_files

    asked = JobOptions(f"{place / 'net.py'}:net", "random:3")
    graph = onnx.load(onnx_files(start_job(asked, place / "out", Silent()), asked)["int8"]).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    quantizes = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert quantizes and {constants[node.input[2]].data_type for node in quantizes} == {TensorProto.UINT8}
    weights = [n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    eight = [n for n in weights if constants[n.input[0]].data_type == TensorProto.INT8]
    assert len(eight) == 4
    channels = [numpy_helper.to_array(constants[node.input[1]]).size for node in eight]
    assert sorted(channels) == [5, 16, 16, 16]
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


@installed
def test_a_model_that_changed_since_is_not_timed(place: Path, tmp_path: Path) -> None:
    from quantune.peers.models import onnx_files

    (tmp_path / "net.py").write_text(NET)
    words = ["compile", f"{tmp_path / 'net.py'}:net", "--calibration", "random:1", "--strategy", "fp32"]
    assert run([*words, "-o", str(tmp_path / "out")]) == 0
    asked = JobOptions(f"{tmp_path / 'net.py'}:net", "random:1")
    job = start_job(asked, tmp_path / "out", Silent())
    (tmp_path / "net.py").write_text(NET.replace("uniform_(0.5, 2)", "uniform_(7, 9)"))
    with pytest.raises(QuantuneError, match="not the network any more"):
        onnx_files(job, asked)
    assert not (tmp_path / "out" / "cache" / "onnx" / "fp32.onnx").exists()


@installed
@pytest.mark.skipif(not targets.get("x86-64-avx2").runs_here, reason="not a processor with AVX2")
@pytest.mark.parametrize(("user", "expected"), [(None, "AVX2"), ("AVX512_CORE_VNNI", "AVX512_CORE_VNNI")])
def test_openvino_gets_the_instruction_set_of_the_target(
    place: Path,
    tmp_path: Path,
    user: str | None,
    expected: str,
) -> None:
    words = ["compile", f"{place / 'net.py'}:net", "--calibration", "random:1", "--target", "x86-64-avx2"]
    assert run([*words, "--strategy", "uniform-w6", "-o", str(tmp_path / "out")]) == 0
    environment = {} if user is None else {openvino.VARIABLE: user}
    found = bench(tmp_path / "out", "--peers", "openvino,onnxruntime", environment=environment)
    sets = {row["system"]: row["settings"].get("instruction_set") for row in found["rows"]}
    assert sets == {"quantune": None, "iree": None, "openvino": expected, "onnxruntime": "unrestricted"}
    assert any(f"OpenVINO int8 ({expected})" in line for line in found["verdicts"])


def test_the_limit_cannot_change_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "_from_user", lambda: "")
    monkeypatch.setenv(openvino.VARIABLE, "AVX2")
    monkeypatch.setitem(sys.modules, "openvino", object())
    assert openvino.restrict(targets.get("x86-64-avx2")) == "AVX2"
    with pytest.raises(QuantuneError, match=r"already limited to AVX2.*one `quantune bench` for each target"):
        openvino.restrict(targets.get("host"))


def test_peers_that_are_unknown_or_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QuantuneError, match="unknown peer 'openvin'; did you mean openvino"):
        options.parse_peers("openvin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(QuantuneError, match=r"needs onnxruntime, which is not installed: pip install '"):
        options.parse_peers("onnxruntime")
    assert options.parse_peers(None) == ()


@installed
def test_models_that_peers_cannot_have(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "net.mlir", "--peers", "openvino"]) == 1
    assert "needs a PyTorch network, which net.mlir does not hold" in capfd.readouterr().err
    assert (
        run(["bench", str(place / "out"), "zoo:resnet18", "--target", "x86-64-avx2", "--peers", "openvino"])
        == 1
    )
    assert "one instruction set in a run" in capfd.readouterr().err


def test_targets_that_cannot_be_timed_are_found_before_compiling(capfd: pytest.CaptureFixture[str]) -> None:
    other = "x86-64-avx2" if os.uname().machine == "aarch64" else "cortex-a72"
    assert run(["bench", "zoo:resnet18", "--target", other]) == 1
    captured = capfd.readouterr()
    assert (
        f"cannot benchmark {other} modules on this machine" in captured.err
        and "importing" not in captured.err
    )


def test_lists_of_threads() -> None:
    assert options.parse_threads("1") == (1,) and options.parse_threads("2, 1,2") == (2, 1)
    for text in ("0", "", "1,", "two", "-1"):
        with pytest.raises(QuantuneError, match="--threads is a number of at least 1, or a list"):
            options.parse_threads(text)


def test_torch_modules_of_every_form(place: Path, tmp_path: Path) -> None:
    made = load_torch(f"{place / 'net.py'}:net")
    assert (made.name, made.input_shape, made.trained) == ("net-net", (3, 16, 16), True)
    image = torch.from_numpy(next(iter(random_dataset(1, (3, 16, 16)))).image)
    torch.export.save(torch.export.export(made.module, (image,)), tmp_path / "net.pt2")
    saved = load_torch(str(tmp_path / "net.pt2"))
    assert saved.input_shape == (3, 16, 16)
    with torch.no_grad():
        expected = made.module(image).numpy()
        np.testing.assert_allclose(saved.module(image).numpy(), expected, rtol=1e-5, atol=1e-6)
    ours = HostRunner(place / "out" / "variants" / "fp32.vmfb").run([image.numpy()])[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(QuantuneError, match=r"net\.mlir holds no PyTorch network"):
        load_torch("net.mlir")
