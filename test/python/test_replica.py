"""The replica is the reference in batches: equal to the bit in integers, and where islands meet them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from compiled import GetNetwork, mixed_plan
from quantune.reference import execute_float, trace
from quantune.replica import Replica, arithmetic

IMAGES = np.random.default_rng(3).normal(size=(2, 1, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("name", ["squeezenet@32", "shufflenet_v2@32"])
def test_equals_the_reference_to_the_bit(network: GetNetwork, name: str) -> None:
    found = network(name)
    plan = mixed_plan(found)
    replica = Replica(found.graph, plan)
    values = replica.run(IMAGES)
    for index, image in enumerate(IMAGES):
        exact = trace(found.graph, plan, {"input": image[None]})
        for value, stored in exact.integers.items():
            np.testing.assert_array_equal(values[value][index].numpy(), stored[0], err_msg=value)
        logits = exact.outputs[found.graph.outputs[0]]
        np.testing.assert_array_equal(replica.logits(values)[index].numpy(), logits[0])


def test_float_and_islands_are_close_to_the_reference(network: GetNetwork) -> None:
    """Sums of f32 are taken in another order."""
    found = network("squeezenet@32")
    floats = [layer.name for layer in found.graph.contractions[3:8]]
    plan = mixed_plan(found, floats)
    islands, plain = Replica(found.graph, plan), Replica(found.graph, None)
    values, reals = islands.run(IMAGES), plain.run(IMAGES)
    for index, image in enumerate(IMAGES):
        exact = trace(found.graph, plan, {"input": image[None]})
        for value, stored in exact.integers.items():
            apart = np.abs(values[value][index].numpy().astype(int) - stored[0])
            assert apart.mean() < 0.01, value
        for value, real in execute_float(found.graph, {"input": image[None]}).items():
            close = 1e-4 * np.abs(real).max()
            np.testing.assert_allclose(reals[value][index].numpy(), real[0], atol=close, err_msg=value)


def test_sums_in_f32_are_those_in_bytes(network: GetNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """What processors without VNNI do."""
    found = network("squeezenet@32")
    plan = mixed_plan(found)
    usual = Replica(found.graph, plan).run(IMAGES)
    monkeypatch.setattr(arithmetic, "_multiplies_bytes", lambda: False)
    monkeypatch.setattr(arithmetic, "_addcmul_is_fused", lambda: False)
    other = Replica(found.graph, plan).run(IMAGES)
    assert all(torch.equal(usual[name], other[name]) for name in usual)


def test_one_layer_changed_needs_only_what_follows_it(network: GetNetwork) -> None:
    found = network("squeezenet@32")
    plan = mixed_plan(found)
    name = found.graph.contractions[7].name
    narrow = dataclasses.replace(plan.layers[name], weight_bits=2)
    changed = dataclasses.replace(plan, layers={**plan.layers, name: narrow})
    base = Replica(found.graph, plan)
    values, stale = base.run(IMAGES), base.after(name)
    known = {key: value for key, value in values.items() if key not in stale}
    variant = base.with_layer(name, changed)
    whole = Replica(found.graph, changed).run(IMAGES)
    part = variant.run(IMAGES, known)
    assert not torch.equal(whole[name], values[name])
    assert all(torch.equal(whole[key], part[key]) for key in whole)
