"""Ingress: four forms of MODEL, one Model; whatever does not fit is one line."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from quantune import zoo
from quantune.backend.compiler import compile_module
from quantune.backend.runner import HostRunner
from quantune.errors import QuantuneError, UnsupportedError
from quantune.ingress.load import load_model
from quantune.ingress.model import Model
from quantune.targets import get

SOURCE = """
import torch
from torch import nn

INPUT_SHAPE = (3, 16, 16)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)

    def features(self, x):
        return torch.relu(self.bn(self.conv(x))).mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))

def net():
    return Net()

class TwoOutputs(Net):
    def forward(self, x):
        y = self.features(x)
        return self.fc(y), {"features": y}

class Integers(Net):
    def forward(self, x):
        y = super().forward(x)
        return y, y.argmax(1)

class TwoInputs(Net):
    def forward(self, x, mask):
        return super().forward(x * mask)

class Svd(Net):
    def forward(self, x):
        return torch.linalg.svd(x)[1] + super().forward(x).sum()

class NonZero(Net):
    def forward(self, x):
        return torch.nonzero(x).float()

class Branching(Net):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x

class Scribbling(Net):
    def forward(self, x):
        self.bn.running_mean.add_(1)
        return super().forward(x)

def fails():
    return undefined_name

def number():
    return 3
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(SOURCE)
    return path


class Small(nn.Module):
    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)
        with torch.no_grad():
            self.bn.running_mean.normal_()  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))
        return y


def one_line(spec: str | Path, weights: Path | None = None, shape: tuple[int, ...] | None = None) -> str:
    """The message with which loading fails."""
    with pytest.raises(QuantuneError) as caught:
        load_model(str(spec), weights, shape)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def run(model: Model, image: np.ndarray, folder: Path) -> list[np.ndarray]:
    vmfb = compile_module(model.reference_path, folder / "model.vmfb", get("host")).path
    return HostRunner(vmfb).run([image])


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(7))


def export(module: nn.Module, path: Path, dynamic: bool = False) -> Path:
    sizes = {0: torch.export.Dim("batch")} if dynamic else None
    images = (torch.randn(2 if dynamic else 1, 3, 16, 16),)
    shapes = (sizes,) if sizes else None
    torch.export.save(torch.export.export(module.eval(), images, dynamic_shapes=shapes), path)
    return path


# Between them a residual addition, concatenations, a channel shuffle and depthwise convolutions; no more by
# default, because each takes seconds to compile.
QUICK = ("resnet18@32", "squeezenet@32", "shufflenet_v2@32")
SMALL = [name for name in zoo.names() if name.endswith("@32")]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]
)
def test_fp32_module_equals_pytorch(name: str, tmp_path: Path) -> None:
    model = load_model(f"zoo:{name}")
    module, entry, trained = zoo.load(name)
    assert (model.name, model.input_shape, model.classes) == (name, (1, 1, 32, 32), 10)
    assert (model.trained, model.preprocessing) == (trained, entry.preprocessing)
    assert model.reports["channels-last"]["channels_first_left"] == []
    paths = {key.rpartition(".")[0] for key in module.state_dict()}
    assert {layer.name for layer in model.graph.contractions} <= paths
    with torch.no_grad():
        wanted = module(picture(1, 32, 32)).numpy()
    (got,) = run(model, picture(1, 32, 32).numpy(), tmp_path)
    assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_original_keeps_the_models_layout_and_batch_norms() -> None:
    model = load_model("zoo:resnet18@32")
    assert b"conv_2d_nchw_fchw" in model.original
    assert b"conv_2d_nhwc_hwcf" in model.reference and b"nchw" not in model.reference
    assert b"quantune.layer" in model.reference and b"quantune.layer" not in model.original
    assert b"layer1.0.conv1" in model.original


def test_files_go_with_the_model_or_stay_where_the_caller_wants(source: Path, tmp_path: Path) -> None:
    model = load_model(f"{source}:net")
    temporary = model.original_path.parent
    assert temporary.is_dir()
    del model
    assert not temporary.exists()
    load_model(f"{source}:net", folder=tmp_path / "out")
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == ["model-net.original.mlirbc", "model-net.reference.mlirbc"]


def test_factory(source: Path, tmp_path: Path) -> None:
    model = load_model(f"{source}:net")
    assert (model.name, model.input_shape, model.classes) == ("model-net", (1, 3, 16, 16), 5)
    assert not model.trained
    assert [layer.name for layer in model.graph.contractions] == ["conv", "fc"]
    assert load_model(f"{source}:net").graph.fingerprint == model.graph.fingerprint
    assert load_model(f"{source}:net", input_shape=(3, 24, 20)).input_shape == (1, 3, 24, 20)
    module = Small()
    for weights in (tmp_path / "w.safetensors", tmp_path / "w.pt"):
        save_file(module.state_dict(), weights) if weights.suffix != ".pt" else torch.save(
            {"state_dict": module.state_dict()}, weights
        )
        loaded = load_model(f"{source}:net", weights)
        assert loaded.trained
        with torch.no_grad():
            wanted = module.eval()(picture(3, 16, 16)).numpy()
        (got,) = run(loaded, picture(3, 16, 16).numpy(), tmp_path)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_several_float_outputs_work(source: Path, tmp_path: Path) -> None:
    model = load_model(f"{source}:TwoOutputs")
    assert len(model.graph.outputs) == 2
    logits, features = run(model, picture(3, 16, 16).numpy(), tmp_path)
    assert logits.shape == (1, 5) and features.shape == (1, 8)


def test_preprocessing_and_siblings_of_the_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "from model import Net\nfrom quantune.data import Preprocessing\n"
        "PREPROCESSING = Preprocessing((12, 14), 3, (0.0,) * 3, (255.0,) * 3)\n"
    )
    model = load_model(f"{tmp_path / 'other.py'}:Net")
    assert model.input_shape == (1, 3, 12, 14)
    assert model.preprocessing is not None and model.preprocessing.std == (255.0,) * 3


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        ("Integers", ["returns torch.int64", "return the logits"]),
        ("TwoInputs", ["x, mask", "one image tensor"]),
        ("Svd", ["torch-mlir cannot import", "model.py line 39", "_linalg_svd is not supported"]),
        ("NonZero", ["nonzero", "dynamic shape"]),
        ("Branching", ["cannot trace", "data-dependent"]),
        ("Scribbling", ["changes bn.running_mean"]),
        ("fails", ["model.py line 55", "NameError", "undefined_name"]),
        ("number", ["returned int", "torch.nn.Module"]),
        ("nett", ["no function 'nett'", "did you mean net"]),
    ],
)
def test_factories_that_do_not_work(source: Path, factory: str, parts: list[str]) -> None:
    message = one_line(f"{source}:{factory}")
    assert all(part in message for part in parts), message


def test_files_that_do_not_load(tmp_path: Path, source: Path) -> None:
    assert "no such file" in one_line(tmp_path / "none.py:net")
    assert "no such file" in one_line(tmp_path / "none.pt2")
    assert "no such file" in one_line(tmp_path / "none.mlir")
    assert "file.py:factory" in one_line("resnet18")
    assert "did you mean resnet18" in one_line("zoo:resnet81")
    assert "which function" in one_line(source)
    assert "--weights w.pth" in one_line("w.pth")
    assert "C, H, W" in one_line(f"{source}:net", shape=(16, 16))
    for content, part in (
        ("x = (\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "line 1"),
        ("", "no function"),
    ):
        (tmp_path / "bad.py").write_text(content)
        assert part in one_line(tmp_path / "bad.py:net")
    (tmp_path / "bad.py").write_text(SOURCE.replace("INPUT_SHAPE", "SHAPE"))
    assert "INPUT_SHAPE = (C, H, W)" in one_line(tmp_path / "bad.py:net")


def test_weights_that_do_not_fit(source: Path, tmp_path: Path) -> None:
    spec, path = f"{source}:net", tmp_path / "w.safetensors"
    state = Small().state_dict()
    save_file(Small(classes=7).state_dict(), path)
    assert "fc.weight is [7, 8], the model has [5, 8] (0 missing, 0 unknown, 2 of" in one_line(spec, path)
    save_file({k: v for k, v in state.items() if not k.startswith("fc")}, path)
    assert "fc.weight is missing (2 missing, 0 unknown" in one_line(spec, path)
    save_file({**state, "head.bias": torch.zeros(3)}, path)
    assert "head.bias is not in the model (0 missing, 1 unknown" in one_line(spec, path)
    path.write_bytes(b"junk")
    assert "cannot read the weights" in one_line(spec, path)
    assert "no such weights file" in one_line(spec, tmp_path / "none.pt")
    for content in (b"junk", b"", pickle.dumps({"a": 1})):
        (tmp_path / "w.pt").write_bytes(content)
        assert str(tmp_path / "w.pt") in one_line(spec, tmp_path / "w.pt")
    torch.save([1, 2], tmp_path / "w.pt")
    assert "not a state dict" in one_line(spec, tmp_path / "w.pt")
    assert "leave out --weights" in one_line(tmp_path / "m.mlir", path)


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.touch, (self.trace,)  # type: ignore[return-value]


def test_code_in_weights_is_not_run(source: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"fc.weight": Evil(trace)}, tmp_path / "w.pt")
    assert "runs code" in one_line(f"{source}:net", tmp_path / "w.pt")
    assert not trace.exists()


def test_weights_that_are_not_finite(source: Path, tmp_path: Path) -> None:
    spec, path = f"{source}:net", tmp_path / "w.safetensors"
    for key, value in (("fc.weight", float("nan")), ("conv.weight", float("inf"))):
        state = Small().state_dict()
        state[key].view(-1)[3] = value
        save_file(state, path)
        assert f"weight {key} holds 1 NaN or infinite" in one_line(spec, path)
    state = Small().state_dict()
    state["bn.running_var"][2] = -1.0
    save_file(state, path)
    assert "bn.running_var holds a negative variance" in one_line(spec, path)
    state["bn.running_var"].fill_(1.0)
    state["bn.weight"][2] = state["conv.weight"][2].fill_(1e38)[0, 0, 0] * 3
    save_file(state, path)
    assert "layer conv has NaN or infinite weights" in one_line(spec, path)


def test_program(tmp_path: Path) -> None:
    module = Small()
    model = load_model(str(export(module, tmp_path / "my model.pt2")))
    assert (model.name, model.input_shape, model.classes) == ("my_model", (1, 3, 16, 16), 5)
    assert [layer.name for layer in model.graph.contractions] == ["conv", "fc"]
    with torch.no_grad():
        wanted = module(picture(3, 16, 16)).numpy()
    (got,) = run(model, picture(3, 16, 16).numpy(), tmp_path)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert "takes [3, 16, 16]" in one_line(tmp_path / "my model.pt2", shape=(3, 8, 8))


def test_programs_that_do_not_load(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    for content in (b"junk", b""):
        path.write_bytes(content)
        assert "damaged" in one_line(path)
    assert "dynamic shapes" in one_line(export(Small(), path, dynamic=True))
    whole = export(Small(), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in one_line(path)
    torch.export.save(torch.export.export(Small().train(), (picture(3, 16, 16),)), path)
    assert "call model.eval()" in one_line(path)
    module = Small().double()
    torch.export.save(torch.export.export(module.eval(), (picture(3, 16, 16).double(),)), path)
    assert "torch.float64" in one_line(path)
    broken = Small()
    broken.fc.bias.data[0] = float("nan")
    assert "weight fc.bias" in one_line(export(broken, path))


def rewritten(
    path: Path, name: str, content: bytes | None = None, old: bytes = b"", new: bytes = b""
) -> None:
    """Replaces one entry of an archive, or a string in it."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    found = next((entry for entry in entries if entry.endswith(name)), f"m/{name}")
    entries[found] = entries.get(found, b"").replace(old, new) if content is None else content
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [
        ("model_weights_config.json", b'"use_pickle": false', b'"use_pickle": true', "runs code"),
        ("sample_inputs/model.pt", b"", b"", "runs code"),
        ("data/weights/model.pt", b"", b"", "runs code"),
        ("data/constants/opaque_obj_0", b"", b"", "runs code"),
        ("models/model.json", b"torch.ops.aten.conv2d.default", b"torch.hub.load", "torch.hub.load"),
        ("models/model.json", b'{"as_int": 3}', b'{"as_expr": {"expr_str": "1"}}', "dynamic shapes"),
    ],
)
def test_code_in_programs_is_not_run(tmp_path: Path, name: str, old: bytes, new: bytes, part: str) -> None:
    trace, path = tmp_path / "trace", export(Small(), tmp_path / "m.pt2")
    rewritten(path, name, None if old else pickle.dumps(Evil(trace)), old, new)
    assert part in one_line(path)
    assert not trace.exists()


MLIR = """
func.func @forward(%x: tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> {
  %w = arith.constant WEIGHTS : tensor<2x2x1x1xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x2x4x4xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %y = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>)
    outs(%start : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}
"""
DENSE = "dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]>"
BLOB = '{-# dialect_resources: { builtin: { w: "0x040000000000803F000000400000404000008040" } } #-}'


def test_mlir(tmp_path: Path) -> None:
    image = picture(2, 4, 4).numpy()
    wanted = np.einsum("fc,bchw->bfhw", [[1, 2], [3, 4]], image)
    for text in (MLIR.replace("WEIGHTS", DENSE), MLIR.replace("WEIGHTS", "dense_resource<w>") + BLOB):
        path = tmp_path / "net.mlir"
        path.write_text(text)
        model = load_model(str(path))
        assert (model.name, model.input_shape, model.classes) == ("net", (1, 2, 4, 4), None)
        assert model.preprocessing is None
        (layer,) = model.graph.contractions
        assert layer.weight is not None
        np.testing.assert_array_equal(layer.weight[0, 0], [[1, 3], [2, 4]])
        (got,) = run(model, image, tmp_path)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    (tmp_path / "again.mlirbc").write_bytes(model.original)
    assert load_model(str(tmp_path / "again.mlirbc")).graph.fingerprint == model.graph.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("WEIGHTS", "dense_resource<__elided__>", "elided when it was printed"),
        ("WEIGHTS", "dense<0x7FC00000>", "conv_2d_nchw_fchw"),
        ("WEIGHTS", "dense<[[[[1.0]], [[0x7F800000]]], [[[3.0]], [[4.0]]]]>", "hold 1 NaN or infinite"),
        ("%x: tensor<1x2x4x4xf32>", "%x: tensor<1x2x4x4xf32>, %b: tensor<f32>", "takes 2 inputs"),
        ("%x: tensor<1x2x4x4xf32>", "%a: tensor<f32>", "does not parse"),
        ("func.func", "torch.func", "does not parse"),
    ],
)
def test_mlir_that_does_not_fit(tmp_path: Path, old: str, new: str, part: str) -> None:
    path = tmp_path / "net.mlir"
    path.write_text(MLIR.replace(old, new).replace("WEIGHTS", DENSE))
    message = one_line(path)
    assert part in message and str(path) in message


@pytest.mark.parametrize(
    ("signature", "part"),
    [
        ("tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xi64>", "tensor<1x3x8x8xi64>; Quantune needs floating"),
        ("tensor<1x3x8x8xi8>) -> tensor<1x3x8x8xf32>", "takes tensor<1x3x8x8xi8>"),
        ("tensor<?x3x8x8xf32>) -> tensor<1x3x8x8xf32>", "dynamic shape tensor<?x3x8x8xf32>"),
        ("tensor<4x3x8x8xf32>) -> tensor<1x3x8x8xf32>", "takes [4, 3, 8, 8]"),
        ("tensor<1x24xf32>) -> tensor<1x3x8x8xf32>", "takes [1, 24]"),
    ],
)
def test_mlir_of_another_signature(tmp_path: Path, signature: str, part: str) -> None:
    path, result = tmp_path / "net.mlir", signature.split("-> ")[1]
    path.write_text(
        f"func.func @main(%x: {signature} {{\n  %y = tensor.empty() : {result}\n  return %y : {result}\n}}\n"
    )
    message = one_line(path)
    assert part in message and str(path) in message
    with pytest.raises(UnsupportedError):
        load_model(str(path))
