"""Whatever a user gets wrong: one line that names the culprit, exit code 1, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import quantune
from quantune.cli.main import run
from quantune.job.job import Job
from quantune.zoo.weights import WEIGHTS_FOLDER

MODELS = '''
import torch
from torch import nn

INPUT_SHAPE = (3, 8, 8)

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))

def spoilt(value):
    made = net()
    with torch.no_grad():
        made[0].weight[1, 2, 0, 0] = value
    return made

def nan():
    return spoilt(float("nan"))

def inf():
    return spoilt(float("-inf"))

class Ends(nn.Module):
    def __init__(self, end):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 5)
        self.end = end

    def forward(self, x):
        maps = torch.relu(self.conv(x))
        return self.end(maps, self.head(maps.mean((2, 3))))

def bessel():
    return Ends(lambda maps, logits: torch.special.bessel_j0(logits))

def integers():
    return Ends(lambda maps, logits: (logits, logits.argmax(1)))

def dead():
    """Two outputs; one channel of the convolution is zero, one constant, one weight tensor all zeros."""
    made = Ends(lambda maps, logits: (logits, torch.relu(made_last(maps))))
    made_last = nn.Conv2d(4, 2, 1)
    made.last = made_last
    with torch.no_grad():
        made.conv.weight[:2] = 0
        made.conv.bias[0], made.conv.bias[1] = -1.0, 2.0
        made_last.weight.zero_()
        made_last.bias.zero_()
    return made
'''
DYNAMIC = """
func.func @main(%x: tensor<1x3x?x?xf32>) -> tensor<1x3x?x?xf32> {
  return %x : tensor<1x3x?x?xf32>
}
"""
RESULTS = ("model.vmfb", "model.quantized.mlir", "plan.json", "metrics.json", "cache/job.json")

Fails = Callable[..., str]


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return str(path)


@pytest.fixture
def fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fails:
    """Runs `quantune compile … -o out` and expects one line that has all of `naming`, and no results."""

    def check(
        *arguments: str | Path, naming: tuple[str, ...], data: str | Path = "random:2", code: int = 1
    ) -> str:
        out = tmp_path / "out"
        words = ["compile", *map(str, arguments), "--calibration", str(data), "-o", str(out)]
        assert run(words) == code
        captured = capfd.readouterr()
        return _one_line(captured.err, captured.out, out, naming)

    return check


def _one_line(stderr: str, stdout: str, out: Path, naming: tuple[str, ...]) -> str:
    said = [line for line in stderr.splitlines() if line.startswith("quantune: ") and "warning: " not in line]
    assert len(said) == 1 and said[0] == stderr.splitlines()[-1], stderr
    assert "Traceback" not in stderr and "Error(" not in stderr and stdout == ""
    assert all(word in said[0] for word in naming), said[0]
    assert not [name for name in RESULTS if (out / name).exists()]
    assert not list(out.rglob(".*")), "temporary files are left"
    return said[0]


def test_dynamic_shapes_in_mlir(tmp_path: Path, fails: Fails) -> None:
    path = tmp_path / "dynamic.mlir"
    path.write_text(DYNAMIC)
    fails(path, naming=("dynamic.mlir", "dynamic shape", "static shapes"))
    assert not (tmp_path / "out").exists()


def test_dynamic_shapes_in_an_exported_program(tmp_path: Path, fails: Fails) -> None:
    path = tmp_path / "dynamic.pt2"
    height = torch.export.Dim("height", min=8, max=64)
    model = torch.nn.Conv2d(3, 4, 3)
    program = torch.export.export(model, (torch.zeros(1, 3, 16, 16),), dynamic_shapes=({2: height},))
    torch.export.save(program, path)
    fails(path, naming=("dynamic.pt2", "dynamic shapes", "static shapes"))


def test_an_operation_that_cannot_be_imported(models: str, fails: Fails) -> None:
    fails(f"{models}:bessel", naming=("bessel_j0",))


def test_integer_outputs(models: str, fails: Fails) -> None:
    fails(f"{models}:integers", naming=("int64", "return the logits"))


@pytest.mark.parametrize("factory", ["nan", "inf"])
def test_weights_that_are_not_finite(models: str, fails: Fails, factory: str) -> None:
    fails(f"{models}:{factory}", naming=("0.weight", "NaN or infinite", "repair"))


def test_an_unknown_factory(models: str, fails: Fails) -> None:
    fails(f"{models}:nett", naming=("models.py", "nett", "did you mean net"))


def test_weights_that_do_not_fit(tmp_path: Path, models: str, fails: Fails) -> None:
    path = tmp_path / "weights.pt"
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 7, 3)).state_dict(), path)
    fails(
        f"{models}:net", "--weights", path, naming=("weights.pt", "does not fit", "0.weight", "[7, 3, 3, 3]")
    )
    fails(f"{models}:net", "--weights", tmp_path / "no.pt", naming=("no.pt", "no such"))


def test_weights_of_another_architecture(fails: Fails) -> None:
    weights = WEIGHTS_FOLDER / "resnet18@32.safetensors"
    fails(
        *("zoo:squeezenet@32", "--weights", weights),
        naming=("resnet18@32.safetensors", "does not fit", "missing", "unknown", "of this architecture"),
    )


def test_fewer_images_than_asked_for(models: str, fails: Fails) -> None:
    fails(f"{models}:net", "--images", "3", naming=("--images 3", "random:2 has 2", "ask for fewer"))


def test_calibration_folders(tmp_path: Path, models: str, fails: Fails) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    fails(f"{models}:net", data=folder, naming=("photos", "holds no images"))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "whole.png")
    (folder / "torn.png").write_bytes((folder / "whole.png").read_bytes()[:200])
    fails(f"{models}:net", data=folder, naming=("torn.png", "not a readable image", "remove or replace"))
    fails(f"{models}:net", data=tmp_path / "nowhere", naming=("nowhere", "does not exist"))


def _plan(models: str, path: Path, factory: str = "net") -> dict[str, Any]:
    """A plan for uniform int8, made by the command."""
    folder = str(path.parent / f"job-{factory}")
    words = ["plan", f"{models}:{factory}", "--calibration", "random:2", "--strategy", "uniform-int8"]
    assert run([*words, "--folder", folder, "-o", str(path)]) == 0
    plan: dict[str, Any] = json.loads(path.read_text())
    return plan


def test_plans_that_do_not_fit(
    tmp_path: Path, models: str, fails: Fails, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    plan = _plan(models, path)
    capfd.readouterr()
    model = (f"{models}:net", "--plan", path)

    path.write_text(json.dumps(plan | {"schema": "quantune.plan/0"}))
    fails(*model, naming=("plan.json", "quantune.plan/0", "quantune.plan/1", "make it anew"))
    path.write_text(json.dumps(plan | {"fingerprint": "0" * 16}))
    fails(*model, naming=("plan.json", "other weights or structure", "make it anew"))
    path.write_text(json.dumps(plan | {"layers": plan["layers"] | {"10*": {"precision": "float"}}}))
    fails(*model, naming=("plan.json", "'10*' in the plan matches nothing", "near matches: "))
    name = next(iter(plan["layers"]))
    path.write_text(json.dumps(plan | {"layers": {f"{name}x": plan["layers"][name]}}))
    fails(*model, naming=(f"'{name}x'", f"near matches: {name}"))
    path.write_text("{")
    fails(*model, naming=("plan.json", "not valid JSON"))
    fails(f"{models}:net", "--plan", tmp_path / "none.json", naming=("none.json", "No such file"))


@pytest.mark.parametrize(
    "words, naming",
    [
        (("--strategy", "uniform_int"), ("unknown strategy 'uniform_int'", "uniform-int8")),
        (("--target", "cortex-a57"), ("unknown target 'cortex-a57'", "cortex-a5")),
        (("--observer", "entropie"), ("unknown observer 'entropie'", "entropy")),
        (("--plan", "p.json", "--strategy", "v2"), ("--plan", "--strategy", "leave one out")),
        (("--plan", "p.json", "--menu", "8,4"), ("--plan", "--menu", "leave one out")),
        (("--strategy", "fp32", "--max-drop-sqnr", "3"), ("--max-drop-sqnr", "leave it out with fp32")),
        (("--menu", "8,9"), ("--menu", "2 to 8", "'8,9'")),
        (("--max-drop-sqnr", "-1"), ("--max-drop-sqnr", "-1")),
        (("--input-shape", "224"), ("--input-shape", "C,H,W", "'224'")),
        (("--images", "0"), ("--images", "at least 1")),
        (("--strateg", "v2"), ("--strateg", "--strategy", "--help")),
    ],
)
def test_options(fails: Fails, words: tuple[str, ...], naming: tuple[str, ...]) -> None:
    fails("zoo:squeezenet@32", *words, naming=naming)


def test_models_that_are_none(fails: Fails) -> None:
    fails("zoo:resnet19", naming=("resnet19", "did you mean", "resnet18"))
    fails("model.onnx", naming=("model.onnx", "file.pt2"))


def test_an_output_folder_that_is_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], models: str
) -> None:
    (tmp_path / "file").write_text("kept")
    words = ["compile", f"{models}:net", "--calibration", "random:2", "-o", str(tmp_path / "file")]
    assert run(words) == 1
    assert "cannot make the folder" in capfd.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("victim", ["net.reference.mlirbc", "model.json", "statistics.npz", "keys.json"])
def test_a_full_disk(models: str, fails: Fails, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    rename = os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(victim):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "replace", full)
    fails(f"{models}:net", naming=("No space left on device", "free some space"))


def test_a_disk_that_is_full_in_earnest(tmp_path: Path, models: str) -> None:
    """A limit on the size of files stands in for the disk; Python ignores the signal and sees an error."""
    out = tmp_path / "out"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
    code = f"import sys; {limit}; from quantune.cli.main import run; sys.exit(run(sys.argv[1:]))"
    words = ["compile", f"{models}:net", "--calibration", "random:2", "-o", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=_environment()
    )
    assert done.returncode == 1
    _one_line(done.stderr, done.stdout, out, ("free some space",))


def test_no_memory(models: str, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(job: Job) -> None:
        raise MemoryError

    monkeypatch.setattr(Job, "statistics", greedy)
    fails(f"{models}:net", naming=("out of memory",))


def test_interrupt_in_the_middle(tmp_path: Path, models: str) -> None:
    """Ctrl-C while iree-compile runs: 130, one line, no process and no file left behind."""
    out = tmp_path / "out"
    words = ["compile", f"{models}:net", "--calibration", "random:2", "-o", str(out)]
    command = [sys.executable, "-m", "quantune.cli.main", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("compiling"):
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
        stdout = process.stdout.read()
    assert process.returncode == 130
    _one_line(said, stdout, out, ("interrupted", "same command"))


def test_interrupt_in_the_process(models: str, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: Job) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "statistics", interrupted)
    fails(f"{models}:net", naming=("interrupted",), code=130)


def test_a_bug_is_no_user_error(models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Job) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Job, "statistics", broken)
    with pytest.raises(ZeroDivisionError):
        run(["compile", f"{models}:net", "--calibration", "random:2", "-o", str(tmp_path / "out")])


def test_several_outputs_and_dead_channels_work(
    tmp_path: Path, models: str, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["compile", f"{models}:dead", "--calibration", "random:2", "--strategy", "uniform-int8", "--json"]
    assert run([*words, "-o", str(out)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["evaluation"]["int8"]["agreement"] == 1.0
    assert found["evaluation"]["int8"]["sqnr_db"] > 20
    assert (out / "model.vmfb").stat().st_size > 0


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(quantune.__file__).parents[1])}
