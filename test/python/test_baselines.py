"""Choices of one size: random, greedy, MSE ranking, oracle, v2 by size, and the rule of thumb."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.plan.boundaries import is_integer
from quantune.plan.cost import Line, Price, Prices
from quantune.plan.schema import Plan, Quantization
from quantune.plan.strategies import Request, first_last, greedy, mse_ranking, oracle, random, sized
from quantune.plan.strategies.allocation import MENU, average_bits, counts
from quantune.sensitivity.result import LayerSensitivity, Sensitivity

SIZES = (2.0, 3.3, 4.0, 4.5, 7.9, 8.0)


def linear(name: str, source: str, size: int, outputs: int, seed: int) -> Layer:
    weight = np.random.default_rng(seed).normal(size=(size, outputs)).astype(np.float32)
    return Layer(name, "linear", (source,), (1, outputs), weight=weight, bias=np.zeros(outputs, np.float32))


@pytest.fixture
def request_() -> Request:
    """Five layers of 8 to 800 weights; the larger, the less its weights suffer and the louder its output."""
    widths = [4, 2, 20, 40, 10, 3]
    layers, source = [], "input"
    for index, (size, outputs) in enumerate(itertools.pairwise(widths)):
        layers.append(linear(f"layer{index}", source, size, outputs, index))
        source = f"layer{index}"
    graph = Graph({"input": (1, widths[0])}, tuple(layers), (source,))
    noise = [{bits: 4.0 ** (8 - bits) * 1e-5 * (1 + index) for bits in MENU} for index in range(len(layers))]
    metrics = {
        layer.name: LayerSensitivity(
            weight_nsr=noise[index],
            added_nsr={bits: more - noise[index][8] for bits, more in noise[index].items()},
            local_nsr=1e-4,
            local_sqnr_db=40.0,
            activation_sqnr_db=45.0,
        )
        for index, layer in enumerate(layers)
    }
    free = {layer.name: {f"w{bits}a8": Price(1.0, 1) for bits in MENU} for layer in layers}
    return Request(
        "net",
        graph,
        "host",
        {name: Quantization(8, 0.1, 128) for name in ["input", *metrics]},
        Sensitivity(images=4, passes=2, output_nsr=5e-4, layers=metrics),
        Prices(free, Line(0.0, 0.0), Line(0.0, 0.0)),
        menu=MENU,
        asked=True,
    )


def losses(request: Request, seed: int = 0) -> dict[str, dict[int, float]]:
    generator = np.random.default_rng(seed)
    return {
        name: {bits: float(generator.uniform(0.5, 2) * (8 - bits)) for bits in MENU}
        for name in counts(request.graph)
    }


CHOICES: dict[str, Callable[[Request, float], Plan]] = {
    "random": lambda request, size: random.plan(request, size, 3),
    "greedy": greedy.plan,
    "mse": lambda request, size: mse_ranking.plan(
        request, size, {name: float(count) for name, count in counts(request.graph).items()}
    ),
    "oracle": lambda request, size: oracle.plan(request, size, losses(request)),
    "v2": sized.plan,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("choice", CHOICES)
def test_a_plan_fills_its_size_and_never_exceeds_it(request_: Request, choice: str, size: float) -> None:
    plan = CHOICES[choice](request_, size)
    used = average_bits(request_.graph, plan)
    assert plan.report["average_weight_bits"] == used <= size + 1e-9
    weights, total = counts(request_.graph), sum(counts(request_.graph).values())
    narrow = [weights[name] for name in weights if (plan.layers[name].weight_bits or 0) < MENU[0]]
    if choice != "random" and narrow:  # not one more bit fits the smallest layer that could take it
        assert (size - used) * total < max(weights.values()), "a whole layer's worth is left unused"
    for layer in request_.graph:
        assert is_integer(layer, plan) and plan.layers[layer.name].reason
        assert plan.layers[layer.name].weight_bits in MENU


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("size", [1.9, 8.1, float("nan")])
def test_a_size_that_cannot_be_had_is_an_error(request_: Request, choice: str, size: float) -> None:
    with pytest.raises(QuantuneError, match="weight bits cannot be had"):
        CHOICES[choice](request_, size)


def test_random_is_its_seed_s(request_: Request) -> None:
    plans = [random.plan(request_, 4.5, seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] and plans[0].layers != plans[2].layers
    assert "seed 1" in plans[0].layers["layer0"].reason


def test_mse_ranking_gives_8_bits_to_the_worst_first(request_: Request) -> None:
    mse = {name: float(rank) for rank, name in enumerate(counts(request_.graph))}
    widths = [choice.weight_bits for choice in mse_ranking.plan(request_, 4.5, mse).layers.values()]
    # Half a bit of 1278 weights is 639: layer4 takes 4 x 30, layer3 400, layer2 not 800, layer1 2 x 40.
    assert widths == [8, 6, 4, 5, 8]


def test_greedy_spares_what_suffers_for_its_size(request_: Request) -> None:
    widths = [choice.weight_bits or 0 for choice in greedy.plan(request_, 5.0).layers.values()]
    assert widths[0] == max(widths), "8 weights: lowering them saves next to nothing"
    assert widths[2] == min(widths) < widths[4], "800 weights pay for all others"


def test_first_and_last_stay_float(request_: Request) -> None:
    plan = first_last.plan(request_, 4)
    assert [choice.precision for choice in plan.layers.values()] == ["float", *["integer"] * 3, "float"]
    weights = list(counts(request_.graph).values())
    expected = (32 * (weights[0] + weights[-1]) + 4 * sum(weights[1:-1])) / sum(weights)
    assert plan.report["average_weight_bits"] == pytest.approx(expected)
    assert "first layer" in plan.layers["layer0"].reason and "last layer" in plan.layers["layer4"].reason


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from((2.5, 4.0, 4.5, 6.0)))
def test_the_oracle_is_near_the_best_of_all_plans(seed: int, size: float) -> None:
    layers = [linear(f"l{i}", "input" if not i else f"l{i - 1}", 6, 6, i) for i in range(4)]
    graph = Graph({"input": (1, 6)}, tuple(layers), ("l3",))
    found = {name: Quantization(8, 0.1, 128) for name in ["input", *(layer.name for layer in layers)]}
    request = Request("net", graph, "host", found)
    loss = losses(request, seed)
    worst = {name: {b: max(by[c] for c in by if c >= b) for b in by} for name, by in loss.items()}

    def total(widths: tuple[int, ...]) -> float:
        return sum(worst[layer.name][bits] for layer, bits in zip(layers, widths, strict=True))

    fits = [w for w in itertools.product(MENU, repeat=4) if sum(w) <= 4 * size]
    plan = oracle.plan(request, size, loss)
    chosen = tuple(plan.layers[layer.name].weight_bits or 0 for layer in layers)
    assert chosen in fits
    # one width of one layer at most lies between the relaxation and the optimum
    assert total(chosen) <= min(map(total, fits)) + max(by[2] - by[8] for by in worst.values())


def test_an_oracle_of_another_network_is_an_error(request_: Request) -> None:
    with pytest.raises(QuantuneError, match="no losses of layer 'layer0'"):
        oracle.plan(request_, 4.5, {"other": {8: 0.0}})


def test_v2_by_size_spends_bits_where_they_save_noise(request_: Request) -> None:
    widths = {
        name: sized.plan(request_, 4.5).layers[name].weight_bits or 0 for name in counts(request_.graph)
    }
    assert widths["layer0"] == max(widths.values()) and widths["layer2"] == min(widths.values())
