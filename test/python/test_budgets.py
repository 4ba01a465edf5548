"""Budgets, permitted drops and the frontier from the command line, on a network that compiles in seconds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from quantune.cli.main import run
from quantune.cli.predicted import broken_budget
from quantune.files import read_json

NET = """
from torch import nn

INPUT_SHAPE = (3, 8, 8)

def net():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(1152, 4),
    )
"""
COUNT = 8
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.py and labelled data.npz."""
    folder = tmp_path_factory.mktemp("budgets")
    (folder / "net.py").write_text(NET)
    images = np.random.default_rng(0).standard_normal((COUNT, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "data.npz", images=images, labels=np.arange(COUNT) % 4)
    return folder


@pytest.fixture
def call(place: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a command on the network and returns its JSON, or, with code=1, what it complains of."""

    def called(command: str, *words: object, code: int = 0) -> Any:
        model = [f"{place / 'net.py'}:net", "--calibration", place / "data.npz", "--costs", "modelled"]
        assert run([command, *map(str, model), *map(str, words), "--json"]) == code
        captured = capfd.readouterr()
        return json.loads(captured.out) if code == 0 else captured.err

    return called


def planned(call: Call, place: Path, *words: object, code: int = 0) -> Any:
    return call("plan", *words, "--folder", place / "job", "-o", place / "plan.json", code=code)


def test_a_plan_within_budgets(place: Path, call: Call) -> None:
    found = planned(call, place, "--budget", "size=0.2x", "--budget", "bits=8")["plan"]
    report = found["report"]
    assert found["strategy"] == "milp" and report["predicted_bytes"] <= 0.2 * report["fp32_bytes"]
    assert report["average_bits"] <= 8 and report["budgets"] == ["size=0.2x", "bits=8"]
    assert found["layers"]["5"]["weight_bits"] == 4 and "4-bit weights" in found["layers"]["5"]["reason"]
    error = planned(call, place, "--budget", "size=0.01x", code=1)
    assert "no plan meets the budget size=0.01x" in error and "the smallest has" in error


def test_the_frontier(place: Path, call: Call, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("--folder", place / "job", "--pareto")
    found = call("plan", *words, place / "front.json", "--points", 5, "--pick", 2, "-o", place / "2.json")
    assert read_json(place / "front.json")["points"] == found["points"]
    picked, point = read_json(place / "2.json"), found["points"][1]
    assert picked["report"]["predicted_bytes"] == point["bytes"] and point["number"] == 2
    for axis, key in (("latency", "milliseconds"), ("size", "bytes")):
        front = [p for p in found["points"] if p["frontier"] == axis]
        assert 2 <= len(front) <= 5
        for cheap, dear in itertools.pairwise(front):
            assert cheap[key] < dear[key] and cheap["sqnr_db"] < dear["sqnr_db"]
    call("plan", *words, place / "front.svg")
    drawing = ElementTree.parse(place / "front.svg")
    points = [e for e in drawing.iter() if e.get("class") == "point"]
    assert len(points) >= 4
    call("plan", *words, place / "front.html")
    assert "<svg" in (place / "front.html").read_text()
    assert call("plan", *words, place / "f.svg", "--pick", 99, "-o", place / "x.json", code=1)
    assert not (place / "x.json").exists()


def test_a_permitted_drop_is_measured(place: Path, call: Call) -> None:
    """The cheapest plan is kept where it loses nothing more than permitted; candidates are remembered."""
    data = ("--data", place / "data.npz", "--minimize", "size")
    found = planned(call, place, "--max-drop", 99, *data)["plan"]["report"]
    assert found["drop"]["points"] <= 99 and found["drop"]["measures"] == "top-1"
    assert len(found["candidates"]) == 1 and found["minimized"] == "size"
    strict = planned(call, place, "--max-drop", 0, "--minimize", "size")
    report = strict["plan"]["report"]
    assert report["drop"]["measures"] == "disagreement with fp32" and report["drop"]["points"] == 0
    assert any("no labels" in warning for warning in strict["warnings"])
    assert len(read_json(place / "job" / "cache" / "drops.json")) >= 2
    assert not list((place / "job" / "variants").glob("candidate-*.vmfb"))


def test_a_frontier_that_is_measured(place: Path, call: Call) -> None:
    """Every plan of it is compiled; the fp32 end loses nothing."""
    words = ("--folder", place / "job", "--data", place / "data.npz", "--points", 2)
    points = call("plan", *words, "--pareto", place / "measured.json")["points"]
    drops = [point["drop"] for point in points]
    assert {drop["measures"] for drop in drops} == {"top-1"} and {drop["images"] for drop in drops} == {COUNT}
    dearest = [max(points, key=lambda p: p[key]) for key in ("milliseconds", "bytes")]
    assert dearest[1]["drop"]["points"] == 0 and dearest[1]["drop"]["agreement"] == 1
    kept = read_json(place / "job" / "cache" / "drops.json")
    assert {row["top1"] for row in kept.values()} >= {drop["top1"] for drop in drops}
    call("plan", *words, "--pareto", place / "measured.html")
    page = (place / "measured.html").read_text()
    assert "top-1" in page and len(read_json(place / "job" / "cache" / "drops.json")) == len(kept)


def test_labels_that_do_not_fit_the_model(place: Path, call: Call) -> None:
    data = np.load(place / "data.npz")
    for wrong in (4, -1):
        labels = data["labels"].copy()
        labels[3] = wrong
        np.savez(place / "wrong.npz", images=data["images"], labels=labels)
        for words in (("--max-drop", "1", "-o", place / "no.json"), ("--pareto", place / "no.svg")):
            error = call("plan", *words, "--data", place / "wrong.npz", "--folder", place / "job", code=1)
            assert f"wrong.npz[3] has label {wrong}, but the model has 4 classes (0 to 3)" in error
    error = planned(call, place, "--max-drop", 1, "--data", place / "data.npz", "--data-images", 9, code=1)
    assert f"9 samples asked for, but {place / 'data.npz'} has {COUNT}; ask for fewer" in error


@pytest.mark.parametrize(
    ("budget", "milliseconds", "warned"),
    [
        ("latency=0.5x", 5.2, False),
        ("latency=0.5x", 5.6, True),
        ("latency=2ms", 5.6, True),
        ("size=1x", 50, False),
    ],
)
def test_a_module_slower_than_its_budget(budget: str, milliseconds: float, warned: bool) -> None:
    latencies = {"fp32": 10.0, "milp": milliseconds}
    rows = [{"system": "quantune", "variant": v, "latency_ms": t} for v, t in latencies.items()]
    metrics = {"benchmark": {"rows": rows}, "plan": {"budgets": [budget]}}
    found = broken_budget(metrics, "milp")
    assert (found is not None and budget in found) == warned


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "size=0.2x", "--strategy", "v2"), "--budget is solved by strategy milp"),
        (("--max-drop", "1", "--max-drop-sqnr", "1"), "both limit what may be lost"),
        (("--max-drop", "-1"), "points of accuracy"),
        (("--budget", "size=1x", "--budget", "size=2x"), "both about size"),
        (("--budget", "speed=1x"), "a budget is latency=0.6x"),
        (("--data", "x.npz"), "--data is what --max-drop is measured on"),
        (("--data-images", "3", "--max-drop", "1"), "--data-images limits --data"),
        (("--budget", "size=1x", "--minimize", "size"), "--minimize also needs"),
        (("--pareto", "f.svg"), "--pick K and -o FILE go together"),
        (("--pareto", "f.png", "--pick", "1"), "must end in .svg"),
        (("--pareto", "f.svg", "--pick", "1", "--max-drop", "1"), "leave out --max-drop"),
        (("--pick", "1"), "give --pareto FILE too"),
        (("--max-drop", "1", "--target", "cortex-a53"), "--max-drop-sqnr"),
    ],
)
def test_options_that_contradict_each_other(
    place: Path, call: Call, words: tuple[str, ...], message: str
) -> None:
    assert message in planned(call, place, *words, code=1)
