"""The commands from end to end, in this process, on networks that compile in seconds."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import quantune
from quantune.backend import dispatches
from quantune.backend.runner import HostRunner
from quantune.cli import eval as cli_eval
from quantune.cli import methods, options
from quantune.cli.main import run
from quantune.cli.output import Output
from quantune.cli.progress import Bars, Lines
from quantune.costs.store import Cost, open_store
from quantune.errors import QuantuneError
from quantune.ingress.load import load_model
from quantune.job import metrics
from quantune.job.folder import load_options, open_job, save_job
from quantune.job.imports import import_model
from quantune.plan.cost import MEASURED
from quantune.plan.schema import read_plan_json
from quantune.progress import Silent
from quantune.targets import get

NET = """
from torch import nn

INPUT_SHAPE = (3, 16, 16)

def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 4),
    )
"""
COUNT = 6

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py, labelled data.npz, and out/, compiled with --compare."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "net.py").write_text(NET)
    images = np.random.default_rng(0).standard_normal((COUNT, 3, 16, 16)).astype(np.float32)
    np.savez(folder / "data.npz", images=images, labels=np.arange(COUNT) % 4)
    assert run(_compile(folder)) == 0
    return folder


def _compile(folder: Path, *extra: str) -> list[str]:
    words = ["compile", f"{folder / 'net.py'}:net", "--calibration", str(folder / "data.npz")]
    return [*words, "--compare", "--costs", "modelled", "-o", str(folder / "out"), *extra]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command with --json and returns its one JSON document."""

    def json_of(*arguments: object, code: int = 0) -> Any:
        capfd.readouterr()
        assert run([*map(str, arguments), "--json"]) == code, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    return json_of


def test_compile_leaves_everything(place: Path) -> None:
    out = place / "out"
    for name in ("model.vmfb", "model.quantized.mlir", "plan.json", "metrics.json", "statistics.json"):
        assert (out / name).stat().st_size > 0
    assert (out / "model.vmfb").read_bytes() == (out / "variants" / "v2.vmfb").read_bytes()
    text = (out / "model.quantized.mlir").read_text()
    assert "flow.dispatch @quantune_kernels" in text or "i32" in text  # sums in kernels or generated code
    assert read_plan_json(out / "plan.json")["strategy"] == "v2"
    found = metrics.load(out)
    assert set(found["variants"]) == set(found["evaluation"]) == {"fp32", "int8", "v2"}
    assert found["calibration"]["passes"] == 2
    assert {row["variant"] for row in found["benchmark"]["rows"]} >= {"fp32", "int8", "v2"}
    assert found["benchmark"]["verdicts"]
    assert found["commands"][0].startswith("quantune compile ")
    assert not list(out.rglob(".*"))


def test_compiling_again_repeats_nothing(place: Path, call: Call) -> None:
    out = place / "out"
    watched = [path for path in out.rglob("*") if path.suffix in (".vmfb", ".mlirbc", ".npz", ".mlir")]
    before = {path: path.stat().st_mtime_ns for path in watched}
    evaluation = metrics.load(out)["evaluation"]
    found = call(*_compile(place))
    assert {path: path.stat().st_mtime_ns for path in watched} == before
    assert found["variant"] == "v2" and found["evaluation"] == evaluation
    assert found["layers"]["integer"] >= 3
    assert found["warnings"] == []


def test_variants_are_built_beside_what_ships(place: Path, call: Call, tmp_path: Path) -> None:
    words = ("--calibration", place / "data.npz", "--strategy", "uniform-w6", "--variants", "w7,fp32,w6")
    call("compile", f"{place / 'net.py'}:net", *words, "-o", tmp_path / "out")
    found = metrics.load(tmp_path / "out")
    assert list(found["variants"]) == ["fp32", "w7", "w6"]
    assert load_options(tmp_path / "out").shipped == "w6" and "--variants w7,fp32,w6" in found["commands"][0]
    widths = {layer["weight_bits"] for layer in found["layers"]}
    assert widths == {None, 6}
    assert run(_compile(place, "--variants", "int8,w9")) == 1


def test_eval_of_a_folder(place: Path, call: Call) -> None:
    found = call("eval", place / "out", "--data", place / "data.npz")
    assert found["variant"] == "v2" and found["images"] == COUNT
    assert 0 <= found["top1"] <= 1 and 0 <= found["fp32_top1"] <= 1 and 0 <= found["agreement"] <= 1
    assert found["sqnr_db"] > 20 and set(found["variants"]) == {"fp32", "int8", "v2"}
    one = call("eval", place / "out", "--data", place / "data.npz", "--variant", "int8", "--images", 3)
    assert one["images"] == 3 and set(one["variants"]) == {"fp32", "int8"}
    assert one["sqnr_db"] == one["variants"]["int8"]["sqnr_db"]
    call("eval", place / "out", "--data", place / "data.npz")
    assert metrics.load(place / "out")["evaluation"] == found["variants"]


def test_eval_counts_what_the_modules_answer(place: Path, call: Call) -> None:
    """Against a count made here, from the modules themselves."""
    data = np.load(place / "data.npz")
    runner = HostRunner(place / "out" / "model.vmfb")
    answers = [int(runner.run([image[None]])[0].argmax()) for image in data["images"]]
    found = call("eval", place / "out", "--data", place / "data.npz")
    assert found["top1"] == np.mean(np.array(answers) == data["labels"])


def test_eval_without_labels_and_of_a_model(
    place: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("eval", place / "out", "--data", "random:2")["top1"] is None
    monkeypatch.chdir(tmp_path)
    found = call("eval", f"{place / 'net.py'}:net", "--data", place / "data.npz")
    assert found["variant"] == "fp32" and found["top1"] == found["fp32_top1"]
    assert run(["eval", str(place / "out"), "--data", "random:1", "--variant", "v3"]) == 1


@pytest.mark.parametrize(
    ("label", "words", "message"),
    [
        (4, (), "data.npz[2] has label 4, but the model has 4 classes"),
        (-1, (), "data.npz[2] has label -1, but the model has 4 classes"),
        (0, ("--images", "99"), f"has {COUNT}; ask for fewer"),
    ],
)
def test_eval_of_data_that_do_not_fit(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], label: int, words: list[str], message: str
) -> None:
    data = np.load(place / "data.npz")
    labels = data["labels"].copy()
    labels[2] = label
    np.savez(tmp_path / "data.npz", images=data["images"], labels=labels)
    assert run(["eval", str(place / "out"), "--data", str(tmp_path / "data.npz"), *words]) == 1
    assert message in capfd.readouterr().err


def test_bench_and_report(place: Path, call: Call) -> None:
    found = call("bench", place / "out", "--rounds", 2, "--dispatches")
    rows = {(row["system"], row["variant"]): row for row in found["rows"]}
    ours = {("quantune", name) for name in ("fp32", "int8", "v2")}
    assert set(rows) == ours | {("iree", "fp32-default"), ("iree", "fp32-best")}
    keys = {"model", "system", "variant", "threads", "latency_ms", "spread_ms", "size_bytes"}
    assert all(keys <= set(row) and row["latency_ms"] > 0 for row in rows.values())
    assert found["cpu"]["cores"] >= 1 and "iree-base-compiler" in found["versions"]
    (profiles,) = found["dispatches"].values()
    assert set(profiles) == {"fp32", "int8", "v2"} and found["verdicts"]
    assert metrics.load(place / "out")["benchmark"]["rows"] == found["rows"]
    page = Path(call("report", place / "out")["report"])
    assert page == place / "out" / "report.html" and "net-net" in page.read_text()


def test_bench_says_in_words_what_is_slower(place: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With invented latencies, since nothing may depend on times."""
    from quantune.job.job import Job

    def invented(
        job: Job, variants: list[str], threads: tuple[int, ...], iree: bool, rounds: int, peers: object
    ) -> dict[str, Any]:
        latencies = {"fp32": 10.0, "int8": 12.0, "v2": 5.0}
        row = {"model": job.model.name, "system": "quantune", "threads": threads[0], "size_bytes": 1}
        rows = [row | {"variant": v, "latency_ms": latencies[v], "spread_ms": 0.1} for v in variants]
        return {"cpu": {"name": "made up", "features": [], "cores": 1}, "versions": {}, "rows": rows}

    def profiled(vmfb: Path) -> list[dispatches.DispatchTime]:
        share = 2.0 if vmfb.stem == "int8" else 1.0
        return [dataclasses.replace(found, microseconds=share) for found in real(vmfb)]

    real = dispatches.time_dispatches
    monkeypatch.setattr(dispatches, "time_dispatches", profiled)
    monkeypatch.setattr(Job, "benchmark", invented)
    found = call("bench", place / "out", "--threads", 2)
    slow = [line for line in found["verdicts"] if "SLOWER" in line]
    assert len(slow) == 1 and slow[0].startswith("int8 is SLOWER than fp32") and "main_dispatch_" in slow[0]
    (profiles,) = found["dispatches"].values()
    assert set(profiles) == {"fp32", "int8"}, "only what is needed to explain it is profiled"


def test_eval_takes_the_network_that_is_trained_on_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    def meant(model: str, data: str) -> tuple[str, str]:
        found = cli_eval._meant(model, data, Output(False))
        return found, capsys.readouterr().err

    found, said = meant("zoo:resnet18", "fashion-mnist")
    assert found == "zoo:resnet18@32" and "trained on fashion-mnist" in said
    for model, data in [("zoo:resnet18@32", "fashion-mnist"), ("zoo:resnet18", "random:2"), ("n.py:f", "x/")]:
        assert meant(model, data) == (model, "")


def test_analyze_plan_and_an_edited_plan(place: Path, call: Call, tmp_path: Path) -> None:
    model, data = f"{place / 'net.py'}:net", ("--calibration", place / "data.npz")
    shutil.copytree(place / "out", tmp_path / "job")  # what is computed there already is not what is tested
    found = call("analyze", model, *data, "-o", tmp_path / "job")
    assert found["passes"] == 2 and found["images"] == COUNT
    rows = {row["name"]: row for row in found["layers"]}
    assert rows["0"]["weight_sqnr_db"] > 30 and rows["0"]["local_sqnr_db"] > 20
    assert (tmp_path / "job" / "sensitivity.json").exists()

    path = tmp_path / "plan.json"
    made = call(
        "plan", model, *data, "--menu", "8,4", "--max-drop-sqnr", 3, "--folder", tmp_path / "job", "-o", path
    )
    plan = json.loads(path.read_text())
    assert plan == made["plan"] and plan["report"]["menu"] == [8, 4]
    assert plan["report"]["prices"][MEASURED] >= 1  # how many a minute suffices for depends on the machine
    plan["layers"] = plan["layers"] | {
        "*": {"precision": "float"},
        "0": plan["layers"]["0"] | {"precision": "integer"},
    }
    order = {"*": plan["layers"].pop("*")}
    path.write_text(json.dumps(plan | {"layers": plan["layers"] | order}))
    built = call("compile", model, *data, "--plan", path, "-o", tmp_path / "job")
    assert built["variant"] == "plan" and built["layers"]["integer"] == 0
    assert read_plan_json(tmp_path / "job" / "plan.json")["layers"]["2"]["precision"] == "float"
    assert load_options(tmp_path / "job").shipped == "plan"


def test_a_target_that_does_not_run_here(place: Path, call: Call, tmp_path: Path) -> None:
    target = "x86-64-avx2" if os.uname().machine == "aarch64" else "cortex-a72"
    words = ("--calibration", place / "data.npz", "--strategy", "uniform-int8", "--target", target)
    found = call("compile", f"{place / 'net.py'}:net", *words, "-o", tmp_path / "out")
    assert found["evaluation"] is None and found["benchmark"] is None
    assert (tmp_path / "out" / "model.vmfb").stat().st_size > 0
    assert run(["eval", str(tmp_path / "out"), "--data", "random:1"]) == 1


def test_an_opened_job_equals_the_one_that_was_saved(place: Path) -> None:
    job = open_job(place / "out")
    model = load_model(f"{place / 'net.py'}:net")
    assert job.model.graph.fingerprint == model.graph.fingerprint
    assert (job.model.name, job.model.classes) == (model.name, model.classes)
    assert job.model.preprocessing == model.preprocessing and job.model.input_shape == model.input_shape
    assert [layer.location for layer in job.model.graph] == [layer.location for layer in model.graph]
    asked = load_options(place / "out")
    assert (asked.variants, asked.shipped, asked.images) == (("fp32", "int8", "v2"), "v2", options.IMAGES)
    save_job(job, asked, asked.variants, asked.shipped)
    assert load_options(place / "out") == asked


def test_a_folder_whose_calibration_data_is_gone(place: Path, call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(place / "out", out)
    record = json.loads((out / "cache" / "job.json").read_text())
    (out / "cache" / "job.json").write_text(json.dumps(record | {"calibration": str(tmp_path / "gone.npz")}))
    assert call("eval", out, "--data", place / "data.npz")["images"] == COUNT
    assert "is gone" in call("bench", out, "--rounds", 1)["warnings"][0]
    with pytest.raises(QuantuneError, match=r"calibration data of this folder cannot be read.*gone\.npz"):
        next(iter(open_job(out).calibration))


def test_what_an_import_is_redone_for(tmp_path: Path) -> None:
    """Its files and options by content; a factory that may read other files, always."""
    source, cache = tmp_path / "m.py", tmp_path / "cache"
    (tmp_path / "part_of_m.py").write_text("WIDTH = 4\n")
    body = "import torch, part_of_m\nINPUT_SHAPE = (3, 8, 8)\ndef make(): return torch.nn.Conv2d(3, {}, 3)\n"
    source.write_text(body.format("part_of_m.WIDTH"))

    def again() -> bool:
        path = cache / "model.json"
        before = path.stat().st_mtime_ns if path.exists() else 0
        import_model(f"{source}:make", weights, None, cache, Silent())
        return path.stat().st_mtime_ns != before

    weights = None
    assert again() and not again()
    (tmp_path / "part_of_m.py").write_text("WIDTH = 4  # wider one day\n")
    assert again() and not again()
    weights = tmp_path / "w.pt"
    torch.save(torch.nn.Conv2d(3, 4, 3).state_dict(), weights)
    assert again() and not again()
    torch.save(torch.nn.Conv2d(3, 4, 3).state_dict(), weights)
    assert again()
    source.write_text(body.format("4") + "# torch.load\n")
    assert again() and again()
    (cache / "m-make.reference.mlirbc").unlink()
    assert again()


def test_folders_that_are_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["eval", "--data", "random:1"], ["bench"], ["report"]):
        assert run([words[0], str(tmp_path), *words[1:]]) == 1
        assert f"{tmp_path}" in capfd.readouterr().err
    assert run(["bench", str(tmp_path / "nowhere")]) == 1
    assert "neither a folder" in capfd.readouterr().err


def test_doctor(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantune.cli import doctor

    found = call("doctor")
    assert found["missing"] == [] and found["cpu"]["cores"] >= 1
    targets = {target["name"]: target for target in found["targets"]}
    assert targets.keys() >= {"host", "cortex-a72"}
    store = open_store(get("host"))
    store.costs = {"add 4x4x8 1x1 8": {"a8": Cost(1.0, 0)}}
    store.save()
    measured = {target["name"]: target["measured_shapes"] for target in call("doctor")["targets"]}
    assert (measured["host"], measured["cortex-a72"]) == (1, 0)
    store.path.unlink()
    assert all(check["how"] for check in found["checks"] if check["status"] != "ok")
    monkeypatch.setattr(doctor, "REQUIRED", ("no-such-package-here",))
    found = call("doctor", code=1)
    assert found["missing"] == ["no-such-package-here"]


def test_zoo(call: Call) -> None:
    models = {model["name"]: model for model in call("zoo", "--parameters")["models"]}
    assert models["zoo:resnet18"]["input_shape"] == [3, 224, 224]
    assert models["zoo:resnet18"]["parameters"] == 11_689_512
    assert models["zoo:resnet18"]["weights"] == "random" and "zoo:vgg16@32" in models


def test_tables_for_people(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without --json nothing but tables and sentences; steps go to standard error."""
    assert run(["eval", str(place / "out"), "--data", "random:2"]) == 0
    captured = capfd.readouterr()
    assert "agreement" in captured.out and "evaluating (2) …" in captured.err
    for command in ("zoo", "doctor"):
        assert run([command]) == 0
        assert "┃" in capfd.readouterr().out


def test_bench_refuses_a_drop_that_no_variant_looks_at(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (
            ["zoo:resnet18", "--variants", "fp32,int8", "--max-drop-sqnr", "3"],
            "leave it out with uniform-int8",
        ),
        (["zoo:resnet18", "--max-drop-sqnr", "-1"], "must be 0 dB or more"),
        ([str(place / "out"), "--max-drop-sqnr", "3"], "an output folder has its own"),
    ):
        assert run(["bench", *words]) == 1
        assert said in capfd.readouterr().err


def test_help_names_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    for command in (
        "compile",
        "analyze",
        "plan",
        "eval",
        "bench",
        "report",
        "calibrate-target",
        "doctor",
        "zoo",
    ):
        assert run([command, "--help"]) == 0
        text = " ".join(capfd.readouterr().out.split())
        assert f"quantune {command} " in text and "Example" in text and "--json" in text
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"quantune {quantune.__version__}\n"
    assert run([]) == 0
    assert run(["compil"]) == 1
    assert "Did you mean 'compile'" in capfd.readouterr().err


def test_start_up_imports_nothing_heavy() -> None:
    code = (
        "import sys; from quantune.cli.main import run; run(['--help']); "
        "heavy = {'torch', 'iree', 'numpy', 'scipy', 'torch_mlir'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(quantune.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_seen_enough() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(quantune.__file__).parents[1])}
    command = [sys.executable, "-m", "quantune.cli.main", "zoo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_progress(capfd: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.start("calibrating", 3)
    lines.note("warning: odd")
    lines.note("warning: odd")
    assert capfd.readouterr().err.splitlines() == ["calibrating (3) …", "quantune: warning: odd"]
    assert lines.warnings == ["odd"]
    bars = Bars()
    for total in (None, 2):
        bars.start("step", total)
        bars.advance()
        bars.finish()
    bars.finish()
    assert capfd.readouterr().err.count("step: ") == 2


def test_shapes_and_menus() -> None:
    assert options.parse_shape("3, 224,192") == options.parse_shape("3x224x192") == (3, 224, 192)
    assert options.parse_menu("4,8,4") == (8, 4) and options.parse_menu(None) is None
    for text in ("3,224", "0,1,1", "a,b,c"):
        with pytest.raises(QuantuneError, match="C,H,W"):
            options.parse_shape(text)
    with pytest.raises(QuantuneError, match="did you mean mse"):
        methods.settings(observer="MSE")
