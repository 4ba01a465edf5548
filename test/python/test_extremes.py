"""Networks and data at the edge of sense: outliers of a million, nothing to lose, nothing to win."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantune.backend.runner import HostRunner
from quantune.calibration.histogram import Histogram
from quantune.calibration.statistics import Statistics
from quantune.cli.jobs import warn_of_outliers
from quantune.cli.output import Output
from quantune.graph.model import Graph, Layer
from quantune.ingress.load import load_model
from quantune.job import Job
from quantune.job.data import calibration_for
from quantune.numerics import quantization_from_range
from quantune.plan.budget import Goal
from quantune.plan.schema import Plan
from quantune.plan.vanished import vanished
from quantune.targets import get

NETS = '''
import torch
from torch import nn

INPUT_SHAPE = (3, 8, 8)

def plain():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(576, 4))

def drowning():
    """Every layer carries a million beside what matters; the next layer does not look at it."""
    net = plain()
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight[0], layer.bias[0] = 0, 1e6
        net[2].weight[:, 0] = 0
        net[5].weight.view(4, 16, 36)[:, 0] = 0
    return net

def hopeless():
    """Every layer has a huge weight on a channel that is always 0: all others round to nothing."""
    net = plain()
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight[0], layer.bias[0] = 0, -1
            layer.weight[1:, 0] = 1e3
        net[5].weight.view(4, 16, 36)[:, 0] = 1e3
    return net

def quiet():
    """Pictures of 0 to 255 go through as they are, and weights of -1, 0 and 1 survive any width."""
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(192, 4))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3).reshape(3, 3, 1, 1).flip(0))
        net[3].weight.copy_((torch.arange(768).reshape(4, 192) % 3) - 1.0)
        net[0].bias.zero_(), net[3].bias.zero_()
    return net
'''


LAYERS = ("0", "2", "5")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extremes")
    (folder / "nets.py").write_text(NETS)
    return folder


def job(place: Path, net: str, images: NDArray[np.float32]) -> Job:
    data = place / f"{net}.npz"
    np.savez(data, images=images)
    model = load_model(f"{place / 'nets.py'}:{net}")
    return Job(model, get("host"), place / net, calibration_for(model, str(data), None))


def noise() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)


def precisions(plan: Plan, names: Sequence[str] = LAYERS) -> set[str]:
    return {plan.layers[name].precision for name in names}


def said(job: Job, plan: Plan, capsys: pytest.CaptureFixture[str]) -> str:
    """What the commands warn of."""
    warn_of_outliers(job, plan, Output(as_json=True))
    return capsys.readouterr().err


def test_wild_pixels_compile_and_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = noise()
    images[3, 1, 4, 4], images[5, 0, 0, 0] = 1e6, -1e6
    wild = job(place, "plain", images)
    plan = wild.plan("uniform-int8")
    warning = said(wild, plan, capsys)
    assert "warning: the calibration images reach 1e+06 where half of all numbers are below 0." in warning
    assert "of them become 0 (and so it goes with " in warning and "look for outliers" in warning
    runner = HostRunner(wild.build("int8", plan).path)
    assert all(np.isfinite(runner.run([image[None]])[0]).all() for image in images)


def test_foreign_pictures_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = noise()
    usual = job(place, "plain", images)
    assert "times as large" not in said(usual, usual.plan("uniform-int8"), capsys)
    images[2] *= 10
    images[6] *= 5
    spoiled = job(place, "plain", images)
    warning = said(spoiled, spoiled.plan("uniform-int8"), capsys)
    assert re.search(r"2 of 8 calibration images are up to (9|1\d)\.?\d* times as large", warning)
    assert f"({spoiled.calibration.names[2]} most of all)" in warning
    assert "times as large" not in said(spoiled, spoiled.plan("fp32"), capsys)


def test_activations_of_a_million_stay_float(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No local SQNR shows what they cost, but the outputs do."""
    drowning = job(place, "drowning", noise())
    for strategy in ("v2", "milp"):
        plan = drowning.plan(strategy)
        assert precisions(plan, [*plan.layers]) == {"float"}
        assert "every layer by itself looks quiet" in plan.report["remark"]
        assert said(drowning, plan, capsys) == ""  # nothing that matters is stored in integers
    assert "the value 2 reach 1e+06" in said(drowning, drowning.plan("uniform-int8"), capsys)


def test_layers_that_do_not_survive_stay_float_and_say_why(place: Path) -> None:
    images = noise()
    images[:, 0] = 0
    plan = job(place, "hopeless", images).plan("v2")
    assert precisions(plan) == {"float"}
    reasons = [plan.layers[name].reason for name in LAYERS]
    assert all("nothing of this network survives 8 bits" in reason for reason in reasons)
    assert "the outputs drown in 8 bits (SQNR -" in plan.report["remark"]


def test_layers_that_lose_nothing_take_the_fewest_bits(place: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 8, 8)).astype(np.float32)
    images[0, :, 0, :2] = (0, 255)
    quiet = job(place, "quiet", images)
    for plan in (
        quiet.plan("v2", (8, 4, 2)),
        quiet.plan("milp", (8, 4, 2), goal=Goal(max_drop_sqnr_db=1, minimize="size")),
    ):
        assert {plan.layers[name].weight_bits for name in ("0", "3")} <= {4, 2}
        assert "no layer is sensitive" in plan.report["remark"]


def test_what_counts_as_vanished() -> None:
    """Zeros and what a network ignores by itself do not count; layers that only move values do not either."""
    random = np.random.default_rng(0)
    weight = np.ones((4, 4), np.float32)
    layers = [
        Layer("sparse", "linear", ("input",), (1, 4), weight=weight),
        Layer("moved", "reshape", ("sparse",), (1, 4)),
        Layer("lost", "linear", ("moved",), (1, 4), weight=weight),
    ]
    graph = Graph({"input": (1, 4)}, tuple(layers), ("lost",))
    sparse = np.where(random.random((50, 40)) < 0.99, 0, 1).astype(np.float32)
    tails = random.standard_t(3, (50, 40)).astype(np.float32)
    lost = random.standard_normal((50, 40)).astype(np.float32)
    lost[0, 0] = 1e6
    samples = {"input": tails, "sparse": sparse, "moved": lost, "lost": lost}
    histograms = {name: Histogram(name) for name in samples}
    for name, values in samples.items():
        histograms[name].add(values)
    stored = {n: quantization_from_range(float(v.min()), float(v.max()), 8) for n, v in samples.items()}
    (found,) = vanished(graph, Statistics("data", 50, False, histograms, samples), stored)
    assert found.name == "lost" and found.largest == 1e6
    assert found.share == pytest.approx(1999 / 2000) and 0.6 < found.usual < 0.75
