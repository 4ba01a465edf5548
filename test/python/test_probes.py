"""What narrower weights do to the outputs: each probe against the reference, and what few are worth."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from compiled import Array, GetNetwork, Network, mixed_plan
from quantune.numerics import dequantize
from quantune.plan.boundaries import integer_values
from quantune.plan.schema import Plan
from quantune.reference import trace
from quantune.replica import Replica
from quantune.sensitivity.metrics import noise_of
from quantune.sensitivity.probes import EACH, WIDTHS, Case, Probes, narrowed

PICTURES = 3
IMAGES = np.random.default_rng(5).normal(size=(PICTURES, 1, 1, 32, 32)).astype(np.float32)
NSR = {8: 1e-5, 4: 2.01e-3, 3: 8.01e-3, 2: 4.001e-2}


def quantized(network: Network, plan: Plan, image: Array) -> dict[str, Array]:
    """Every layer's value in f32, as the instrumented module returns it."""
    found = trace(network.graph, plan, {"input": image})
    stored = integer_values(network.graph, plan)
    whole = {name: dequantize(value, stored[name]) for name, value in found.integers.items()}
    return {la.name: (whole | found.floats | found.outputs)[la.name] for la in network.graph}


def test_a_probe_is_the_network_with_one_layer_narrowed(network: GetNetwork) -> None:
    """Made of what the quantized run says of the layers before."""
    found = network("squeezenet@32")
    graph, plan = found.graph, mixed_plan(found)
    made, output = Probes(graph, plan, PICTURES), graph.outputs[0]
    expected: list[float] = []
    for index, image in enumerate(IMAGES):
        values = quantized(found, plan, image)
        made.add(index, image, values)
        for name, bits in [case for case, _ in made._kept.values()]:
            choice = dataclasses.replace(plan.layers[name], weight_bits=bits)
            other = dataclasses.replace(plan, layers={**plan.layers, name: choice})
            changed = trace(graph, other, {"input": image}).outputs[output]
            expected.append(noise_of(values[output], changed).nsr)
    assert len(expected) == EACH * PICTURES and max(expected) > 0
    assert sorted(expected) == pytest.approx(
        sorted([ratio for ratios in made.found.values() for ratio in ratios]), rel=1e-6
    )


def test_every_layer_and_width_has_its_turn(network: GetNetwork) -> None:
    found = network("squeezenet@32")
    asked: Counter[Case] = Counter()

    class Counting(Probes):
        def _variant(self, lane: int, case: Case) -> Replica:
            asked[case] += 1
            return self._base

    pictures = 60
    made = Counting(found.graph, mixed_plan(found), pictures)
    values = quantized(found, mixed_plan(found), IMAGES[0])
    for index in range(pictures):
        made.add(index, IMAGES[0], values)
    assert asked.keys() == {(la.name, bits) for la in found.graph.contractions for bits in WIDTHS}
    assert sum(asked.values()) == EACH * pictures and max(asked.values()) - min(asked.values()) <= 2
    assert all(ratio == 0 for ratios in made.found.values() for ratio in ratios)


def test_without_probes_all_of_the_weights_noise_arrives() -> None:
    (found,) = narrowed({"a": NSR}, {}).values()
    assert found == pytest.approx({8: 0, 4: 2e-3, 3: 8e-3, 2: 4e-2})


def test_many_probes_are_believed_and_few_are_pulled_towards_the_others() -> None:
    weights = {"quiet": NSR, "loud": NSR, "unknown": NSR}
    few = narrowed(weights, {("quiet", 4): [2e-4], ("loud", 4): [2e-2]})
    many = narrowed(weights, {("quiet", 4): [2e-4] * 5000, ("loud", 4): [2e-2] * 5000})
    assert few["unknown"] == pytest.approx({8: 0, 4: 2e-3, 3: 8e-3, 2: 4e-2})  # between one tenth and tenfold
    assert 2e-4 < few["quiet"][4] < 2e-3 < few["loud"][4] < 2e-2
    assert many["quiet"][4] == pytest.approx(2e-4, rel=0.01) and many["loud"][4] == pytest.approx(
        2e-2, rel=0.01
    )
    # what was not tried follows from what was
    assert many["loud"][3] == pytest.approx(8e-2, rel=0.01)


def test_fewer_bits_are_never_quieter() -> None:
    (found,) = narrowed({"a": NSR}, {("a", 4): [1e-2] * 99, ("a", 3): [1e-3] * 99}).values()
    assert found[3] == found[4] and found[2] >= found[3]
