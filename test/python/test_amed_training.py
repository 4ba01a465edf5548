"""A whole training of bits: it learns, its result compiles to the bit, a killed run goes on, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from amed_case import MENU, small_job, trained
from quantune.amed.plot import draw
from quantune.amed.train import Trained
from quantune.backend.runner import HostRunner
from quantune.cli import main as cli
from quantune.job import Job
from quantune.job.imports import import_model
from quantune.plan.edit import load_plan
from quantune.progress import Silent
from quantune.reference import execute


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return small_job(tmp_path_factory.mktemp("amed"))


@pytest.fixture(scope="module")
def result(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(job, tmp_path_factory.mktemp("trained"))


def test_result_compiles_to_the_bits_of_the_reference(job: Job, result: Trained, tmp_path: Path) -> None:
    assert result.report["average_bits"] <= 3
    graph = result.model.graph
    result.plan.save(tmp_path / "plan.json")
    plan = load_plan(tmp_path / "plan.json", graph)
    compiled = Job(result.model, job.target, tmp_path, job.calibration).build("plan", plan)
    runner = HostRunner(compiled.path)
    for sample in job.calibration:
        (got,) = runner.run([sample.image])
        exact = execute(graph, plan, {"input": sample.image})[graph.outputs[0]]
        np.testing.assert_array_equal(got, exact)


def test_training_learns(job: Job, result: Trained) -> None:
    """Bits from the menu, steps that moved, a much lower loss on pictures held out."""
    records = result.report["trajectory"]
    assert result.report["validation_loss"] < records[0]["loss"] - 0.1
    assert {record["phase"] for record in records} == {"search", "final"}
    assert all(set(record["bits"]) <= set(MENU) for record in records)
    base = job.plan("uniform-int8")
    moved = [n for n, choice in result.plan.layers.items() if choice.output != base.layers[n].output]
    assert moved
    assert draw(result.report).startswith("<svg")


class _Killed(Exception):
    pass


class _Killer(Silent):
    """Ends the run after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, amount: int = 1) -> None:
        self.left -= amount
        if self.left == 0:
            raise _Killed


@pytest.mark.parametrize("steps", [2, 4])
def test_killed_run_comes_to_the_same_result(job: Job, result: Trained, tmp_path: Path, steps: int) -> None:
    job.progress = _Killer(steps)
    try:
        with pytest.raises(_Killed):
            trained(job, tmp_path)
    finally:
        job.progress = Silent()
    assert not (tmp_path / "weights.safetensors").exists()
    again = trained(job, tmp_path)
    assert json.dumps(again.report) == json.dumps(result.report)
    assert again.plan == result.plan
    assert again.weights.read_bytes() == result.weights.read_bytes()


def test_other_settings_do_not_go_on_from_the_checkpoint(job: Job, result: Trained, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "amed.pt").write_bytes((result.weights.parent / "cache" / "amed.pt").read_bytes())
    other = trained(job, tmp_path, seed=1)
    assert other.report["trajectory"] != result.report["trajectory"]
    (cache / "amed.pt").write_bytes(b"damaged")
    assert trained(job, tmp_path, seed=1).report == other.report


def command(folder: Path, *extra: str) -> list[str]:
    words = ["train-bits", f"{folder / 'net.py'}:make", "--data", str(folder / "data.npz"), "--menu", "8,4,3"]
    return [*words, "--costs", "modelled", "--images", "8", *extra]


def test_command_leaves_a_compiled_folder(
    job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, source = tmp_path / "out", job.folder.parent
    arguments = command(source, "--budget", "bits=4", "--epochs", "20", "-o", str(out), "--json")
    assert cli.run(arguments) == 0, capfd.readouterr().err
    found = json.loads(capfd.readouterr().out)
    assert found["average_bits"] <= 4 and found["evaluation"]["plan"]["images"] == 8
    assert len(found["bits"]) == len(found["layers"]) == 5 and found["trajectory"][-1]["phase"] == "final"
    assert cli.run(["eval", str(out), "--data", str(source / "data.npz"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["top1"] > 0.2
    model = import_model(job.model.spec, out / "weights.safetensors", (1, 8, 8), tmp_path / "again", Silent())
    plan = load_plan(out / "plan.json", model.graph)
    assert [plan.layers[name].weight_bits for name in found["layers"]] == found["bits"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--budget", "bits=4", "--epochs", "0"), "--epochs must be more than 0"),
        (("--budget", "bits=4", "--min-accuracy", "90"), "--min-accuracy is a share between 0 and 1"),
        (("--budget", "bits=4", "--signal", "tabel"), "unknown signal 'tabel'; did you mean table?"),
        (("--budget", "watts=4"), "a budget is latency=0.6x"),
        (("--budget", "bits=4", "--data", "random:9"), "no labels"),
    ],
)
def test_mistakes_are_one_line(
    job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str
) -> None:
    assert cli.run(command(job.folder.parent, *extra, "-o", str(tmp_path / "out"))) == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("quantune: error: ") and message in last
