"""A whole training of bits: it learns, its result compiles to the bit, a killed run goes on, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amed_case import MENU, small_job, trained
from quantune.amed.budget import costs_of, priced, within
from quantune.amed.plot import draw
from quantune.amed.train import Trained
from quantune.backend.runner import HostRunner
from quantune.cli import main as cli
from quantune.job import Job
from quantune.job.imports import import_model
from quantune.plan.budget import parse_budgets
from quantune.plan.edit import load_plan
from quantune.plan.schema import Plan
from quantune.progress import Silent
from quantune.reference import execute
from quantune.search import evaluate
from quantune.search.evaluate import Evaluator, Metrics


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


def test_best_network_that_was_seen_comes_out(job: Job, tmp_path: Path) -> None:
    """Strides far too long ruin the network at once; what comes out is no worse than what it started from."""
    found = trained(job, tmp_path, epochs=3.0, rate=5.0, signal="none").report
    assert max(record["loss"] for record in found["trajectory"]) > found["trajectory"][0]["loss"] + 0.1
    assert found["validation_loss"] <= found["trajectory"][0]["loss"] + 1e-6


@pytest.mark.parametrize("kinds", [("size", "bits"), ("latency",)])
def test_budgets_of_bytes_and_time_are_kept(job: Job, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """Limits half way between the widest and the narrowest weights, which no state passes."""
    costs = costs_of(job.model.graph, job.prices(priced(MENU)), MENU)
    layers, units = len(costs.layers), {"size": "B", "latency": "us"}
    limits = ["bits=5"] if "bits" in kinds else []
    for measure in ("size", "latency"):
        if measure in kinds:
            middle = sum(costs.of((bits,) * layers, measure) for bits in (2, 8)) / 2
            limits.append(f"{measure}={middle:.6f}{units[measure]}")
    report = trained(job, tmp_path, limits, epochs=2.0).report
    budgets = parse_budgets(limits)
    assert all(within(costs, budgets, tuple(record["bits"])) for record in report["trajectory"])
    assert within(costs, budgets, tuple(report["bits"])) and report["budgets"] == limits
    assert not any(within(costs, [budget], (8,) * layers) for budget in budgets)


def test_measured_signal_times_every_state_once(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was killed takes its latencies from the evaluations that are kept, and ends the same."""
    monkeypatch.setenv("QUANTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate, "ROUNDS", 1)
    timed: list[str] = []
    measure = Evaluator._measure

    def counted(self: Evaluator, job: Job, plan: Plan, variant: str) -> Metrics:
        timed.append(variant)
        return measure(self, job, plan, variant)

    monkeypatch.setattr(Evaluator, "_measure", counted)
    few: dict[str, Any] = {"epochs": 2.0, "proposals": 2, "signal": "measured"}
    first = trained(job, tmp_path / "one", **few).report
    assert timed and len(timed) == len(set(timed))
    assert first["trajectory"][0]["milliseconds"] > 0
    known = len(timed)
    job.progress = _Killer(1)
    try:
        with pytest.raises(_Killed):
            trained(job, tmp_path / "two", **few)
    finally:
        job.progress = Silent()
    again = trained(job, tmp_path / "two", **few).report
    assert len(timed) == known, "nothing is timed twice"
    assert json.dumps(again) == json.dumps(first)


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
        ((), "training bits needs a limit, such as --budget bits=3"),
        (("--budget", "bits=4", "--budget", "bits=3"), "are both about bits"),
        (("--budget", "bits=4", "--data", "random:9"), "no labels"),
    ],
)
def test_mistakes_are_one_line(
    job: Job, tmp_path: Path, capfd: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str
) -> None:
    assert cli.run(command(job.folder.parent, *extra, "-o", str(tmp_path / "out"))) == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("quantune: error: ") and message in last
