"""Parts of training of bits: grids and gradients, the network under training, budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from amed_case import settings, small_job
from quantune.amed.budget import Costs, costs_of, first_state, priced, within
from quantune.amed.data import Pictures
from quantune.amed.descent import rate_factor
from quantune.amed.lesson import Examination, Lesson
from quantune.amed.lsq import quantize_kernel, quantize_value, untrained_steps
from quantune.amed.network import QuantizedNetwork, shared_values
from quantune.amed.reward import Judge
from quantune.amed.settings import TrainingSettings
from quantune.amed.start import best_start
from quantune.errors import QuantuneError
from quantune.job import Job
from quantune.numerics import dequantize, quantize, quantize_weights
from quantune.plan.boundaries import integer_values
from quantune.plan.budget import Budget, parse_budget, parse_budgets
from quantune.plan.cost import Line, Price, Prices
from quantune.plan.schema import Quantization
from quantune.reference import execute


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return small_job(tmp_path_factory.mktemp("amed"))


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


def test_gradient_of_a_values_step_is_that_of_all_its_elements() -> None:
    """The same equation for images, channels last or not, with a zero point."""
    generator = torch.Generator().manual_seed(0)
    step, zero, bits = torch.tensor(0.1), 3, 4
    x = torch.randn(2, 3, 4, 5, generator=generator)
    upstream = torch.randn(2, 3, 4, 5, generator=generator)
    scaled = x / step
    stored = torch.clamp(torch.round(scaled + zero), 0, 15) - zero
    within = (scaled > -zero - 0.5) & (scaled < 15 - zero + 0.5)
    slope = (torch.where(within, stored - scaled, stored) * upstream).sum() / math.sqrt(60 * 15)
    for layout in (torch.contiguous_format, torch.channels_last):
        learned = step.clone().requires_grad_()
        image = x.clone(memory_format=layout).requires_grad_()
        (quantize_value(image, learned, zero, bits) * upstream).sum().backward()
        assert learned.grad is not None and image.grad is not None
        torch.testing.assert_close(learned.grad, slope, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(image.grad, upstream * within)


def test_lesson_is_between_labels_and_the_float_network(job: Job) -> None:
    images, labels = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    cpu = torch.device("cpu")
    half = Lesson.of(job.model.graph, 0.5, cpu)
    exact = half.teacher(images)[0].detach()
    wanted = half.wanted(images)
    logits = torch.randn(6, 3)
    crossed = F.cross_entropy(logits, labels)
    share, own = exact.softmax(1), logits.log_softmax(1)
    distance = (share * (share.log() - own)).sum(1).mean()
    torch.testing.assert_close(half.loss(logits, labels, wanted), (crossed + distance) / 2)
    torch.testing.assert_close(half.loss(exact, labels, wanted), F.cross_entropy(exact, labels) / 2)
    plain = Lesson.of(job.model.graph, 0.0, cpu)
    assert plain.wanted(images) is None
    torch.testing.assert_close(plain.loss(logits, labels, None), crossed)


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
    assert within(found, [budget], state) and not within(found, [budget], (8,) * len(state))
    assert state[0] == 8, "more bits cost the first layer nothing"
    assert state[-1] == 8, "the most sensitive layer is the last to be narrowed"
    half = first_state(found, parse_budget("bits=4"), (4, 8), noise)
    assert half == (4,) * len(half)


def test_start_keeps_all_budgets_and_is_the_most_rewarded(job: Job) -> None:
    budgets = parse_budgets(["bits=4", "size=0.25x"])
    judge = judge_of(job, budgets)
    state = best_start(job, judge)
    assert judge.permitted(state) and judge.costs.average_bits(state) <= 4
    narrow = (2,) * len(state)
    assert judge.score(state).reward >= judge.score(narrow).reward
    with pytest.raises(QuantuneError, match=r"size=0\.01x cannot be met"):
        best_start(job, judge_of(job, parse_budgets(["bits=4", "size=0.01x"])))


def judge_of(job: Job, budgets: Sequence[Budget]) -> Judge:
    """Of the untrained network, on the calibration pictures; the float network's classes are the labels."""
    chosen, graph = settings(distill=1.0, signal="none"), job.model.graph
    lesson = Lesson.of(graph, 1.0, torch.device("cpu"))
    images = torch.from_numpy(np.stack([sample.image[0] for sample in job.calibration]))
    pictures = Pictures(images, lesson.teacher(images)[0].argmax(1), 0.0)
    network = QuantizedNetwork(graph, job.plan("uniform-int8"), chosen.menu)
    found = costs_of(graph, job.prices(priced(chosen.menu)), chosen.menu)
    return Judge(network, Examination(lesson, pictures), found, budgets, chosen, None)


def test_rates_rise_stay_and_fall() -> None:
    found = [rate_factor(position / 10, 10, 20) for position in range(201)]
    assert 0 < found[0] < 0.2 and found[10] == found[100] == 1.0
    assert found[:11] == sorted(found[:11]) and found[100:] == sorted(found[100:], reverse=True)
    assert found[-1] == 0.0


def test_budget_that_nothing_keeps_says_how_close_it_comes(job: Job) -> None:
    found = costs(job)
    noise = {name: {4: 1.0, 8: 0.0} for name in found.layers}
    with pytest.raises(
        QuantuneError, match=r"size=0\.01x cannot be met.*0\.125x of fp32's size, 12\.50 times"
    ):
        first_state(found, parse_budget("size=0.01x"), (4, 8), noise)


def test_settings_divide_the_batches() -> None:
    found = settings(epochs=6.0, batch=16, interval=4, search=0.5)
    assert found.batches(72) == 28 and found.steps(72) == (4, 7)
    assert TrainingSettings((4,)).steps(1000)[0] == 0, "with one width there is nothing to search"
    assert found.temperature_at(0, 5) == found.temperature[0]
    assert found.temperature_at(4, 5) == pytest.approx(found.temperature[1])
