"""Training of bits: its grids are the numerics', its result compiles to the bit, a killed run goes on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quantune.amed.budget import Costs, costs_of, first_state, within
from quantune.amed.lsq import quantize_kernel, quantize_value, untrained_steps
from quantune.amed.network import QuantizedNetwork, shared_values
from quantune.amed.plot import draw
from quantune.amed.settings import TrainingSettings
from quantune.amed.train import Trained, train_bits
from quantune.backend.runner import HostRunner
from quantune.data.sources import load_dataset
from quantune.errors import QuantuneError
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.numerics import dequantize, quantize, quantize_weights
from quantune.plan.boundaries import integer_values
from quantune.plan.budget import parse_budget
from quantune.plan.cost import Line, Price, Prices
from quantune.plan.edit import load_plan
from quantune.plan.schema import Quantization
from quantune.progress import Silent
from quantune.reference import execute

NET = """
import torch
from torch import nn

INPUT_SHAPE = (1, 8, 8)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        deep = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.deep = nn.Sequential(deep, nn.BatchNorm2d(8), nn.ReLU6())
        self.point = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.side = nn.Conv2d(8, 4, 1)
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.point(self.deep(x))
        x = torch.cat([x, torch.relu(self.side(x))], 1)
        return self.fc(torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

def make():
    net = Net()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.bias)
    return net
"""
MENU = (2, 3, 4, 8)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A network of every kind of layer that training knows, and three kinds of pictures."""
    folder = tmp_path_factory.mktemp("amed")
    (folder / "net.py").write_text(NET)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 96)
    images = generator.normal(size=(96, 1, 8, 8)).astype(np.float32)
    images += (labels - 1).reshape(-1, 1, 1, 1)  # brightness says the class
    np.savez(folder / "data.npz", images=images, labels=labels)
    asked = JobOptions(f"{folder / 'net.py'}:make", str(folder / "data.npz"), images=8, costs="modelled")
    return start_job(asked, folder / "job", Silent())


def settings(**changes: Any) -> TrainingSettings:
    small = {"epochs": 6.0, "batch": 16, "interval": 4, "proposals": 3, "rate": 0.02}
    return TrainingSettings(MENU, **(small | changes))


def trained(job: Job, folder: Path, **changes: Any) -> Trained:
    data = load_dataset(str(job.folder.parent / "data.npz"), None, (1, 8, 8))
    return train_bits(job, data, parse_budget("bits=3"), settings(**changes), folder)


@pytest.fixture(scope="module")
def result(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(job, tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_fake_quantization_is_on_the_grid_of_the_numerics(bits: int) -> None:
    generator = np.random.default_rng(bits)
    w = generator.normal(size=(5, 4, 3, 3)).astype(np.float32)
    steps = untrained_steps(torch.from_numpy(w), bits)
    exact = quantize_weights(w, steps.double().numpy(), bits, channel_axis=0)
    got = quantize_kernel(torch.from_numpy(w), steps, bits).numpy()
    np.testing.assert_allclose(got, exact * steps.numpy().reshape(-1, 1, 1, 1), rtol=1e-6)
    found = Quantization(bits, 0.0371, 1)
    x = generator.normal(size=(2, 3, 4)).astype(np.float32)
    value = quantize_value(torch.from_numpy(x), torch.tensor(0.0371), 1, bits).numpy()
    np.testing.assert_allclose(value, dequantize(quantize(x, found), found), atol=1e-6)


def test_gradients_are_those_of_learned_step_sizes() -> None:
    """Esser et al., equation 3, element by element; beyond the range only steps have one."""
    w = torch.tensor([[0.11, -0.29, 5.0, -5.0]], requires_grad=True)
    step = torch.tensor([0.1], requires_grad=True)
    upstream = torch.tensor([[1.0, 2.0, 3.0, 5.0]])
    (quantize_kernel(w, step, 3) * upstream).sum().backward()
    assert w.grad is not None and step.grad is not None
    torch.testing.assert_close(w.grad, torch.tensor([[1.0, 2.0, 0.0, 0.0]]))
    slope = (1 - 1.1) * 1 + (-3 + 2.9) * 2 + 3 * 3 - 3 * 5
    torch.testing.assert_close(step.grad, torch.tensor([slope / math.sqrt(4 * 3)]))


def test_untrained_network_computes_what_the_integers_do(job: Job) -> None:
    plan, graph = job.plan("uniform-int8"), job.model.graph
    network = QuantizedNetwork(graph, plan, (4, 8))
    images = np.stack([sample.image[0] for sample in job.calibration])
    with torch.no_grad():
        logits = network(torch.from_numpy(images)).numpy()
    for image, row in zip(images, logits, strict=True):
        exact = execute(graph, plan, {"input": image[None]})[graph.outputs[0]]
        np.testing.assert_allclose(row, exact[0], atol=0.02 * np.abs(exact).max())
    shared, stored = shared_values(graph, plan), integer_values(graph, plan)
    concat = next(layer for layer in graph if layer.kind == "concat")
    same = [shared[value] == shared[concat.name] for value in concat.inputs]
    assert any(same) and same == [stored[value] == stored[concat.name] for value in concat.inputs]


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


def costs(job: Job) -> Costs:
    """Where a narrow layer is fast, but the first costs the same in all widths."""
    names = [layer.name for layer in job.model.graph.contractions]
    prices = {
        name: {f"w{b}a8": Price(1.0 if i == 0 else float(b), 10 * b) for b in (4, 8)}
        | {"f32": Price(20.0, 320)}
        for i, name in enumerate(names)
    }
    return costs_of(job.model.graph, Prices(prices, Line(0, 0), Line(0, 0)), (4, 8))


def test_first_state_keeps_the_budget_and_spares_the_sensitive(job: Job) -> None:
    found = costs(job)
    noise = {name: {4: 1.0 + i, 8: 0.0} for i, name in enumerate(found.layers)}
    budget = parse_budget("latency=0.3x")
    state = first_state(found, budget, (4, 8), noise)
    assert within(found, budget, state) and not within(found, budget, (8,) * len(state))
    assert state[0] == 8, "more bits cost the first layer nothing"
    assert state[-1] == 8, "the most sensitive layer is the last to be narrowed"
    half = first_state(found, parse_budget("bits=4"), (4, 8), noise)
    assert half == (4,) * len(half)


def test_budget_that_nothing_keeps_says_how_close_it_comes(job: Job) -> None:
    found = costs(job)
    noise = {name: {4: 1.0, 8: 0.0} for name in found.layers}
    with pytest.raises(
        QuantuneError, match=r"size=0\.01x cannot be met.*0\.125x of fp32's size, 12\.50 times"
    ):
        first_state(found, parse_budget("size=0.01x"), (4, 8), noise)


def test_settings_divide_the_batches() -> None:
    found = replace(settings(), search=0.5)
    assert found.steps(72) == (2, 4) or found.steps(72)[1] * found.interval == found.batches(72)
    assert TrainingSettings((4,)).steps(1000)[0] == 0, "with one width there is nothing to search"
    assert found.temperature_at(0, 5) == found.temperature[0]
    assert found.temperature_at(4, 5) == pytest.approx(found.temperature[1])
