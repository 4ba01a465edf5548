"""Whole networks: compiled against the numpy reference, for equality wherever numbers are integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiled import (
    CHEAP,
    GetNetwork,
    Network,
    check_integer_layers,
    compile_instrumented,
    compile_plan,
    images,
    mixed_plan,
)
from quantune.backend.compiler import BEST_FLAGS
from quantune.backend.runner import HostRunner
from quantune.numerics import dequantize
from quantune.plan.boundaries import integer_values
from quantune.reference import execute, execute_layer, trace
from quantune.sensitivity.metrics import noise_of
from quantune.targets import get

FLOAT_TOLERANCE = 1e-5
"""Of a float layer's largest value: hundreds of f32 roundings of 2**-24, in whatever order."""
ISLAND_SQNR_DB = 40.0
"""Outputs of networks with float islands, module against reference: 1 % of their RMS."""
NETWORKS = ("resnet18@32", "mobilenet_v2@32", "squeezenet@32", "shufflenet_v2@32")


def islands(found: Network) -> list[str]:
    """First, middle and last contraction, and of every other kind of layer one or two."""
    layers, readers = found.graph.contractions, found.graph.consumers()
    chosen = [layers[0].name, layers[len(layers) // 2].name, layers[-1].name]
    for wanted in (
        [la.name for la in layers if la.residual],
        [la.name for la in layers if la.kind == "depthwise_conv2d"],
        [la.name for la in layers if any(reader.kind == "concat" for reader in readers[la.name])],
        [la.name for la in found.graph if la.kind == "concat"],
        [la.name for la in found.graph if la.kind == "max_pool"],
        [la.name for la in found.graph if la.kind == "avg_pool"],
    ):
        chosen += wanted[1:3]
    return list(dict.fromkeys(chosen))


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "generated"])
@pytest.mark.parametrize("name", NETWORKS)
def test_all_integer_network_equals_the_reference(
    network: GetNetwork, tmp_path: Path, name: str, kernels: bool
) -> None:
    """With microkernels and the flags that ship, and with generated code alone."""
    found, host = network(name), get("host")
    plan = mixed_plan(found)
    assert {c.weight_bits for c in plan.layers.values()} == {None, 4, 5, 6, 7, 8}
    flags = BEST_FLAGS if kernels else CHEAP
    runner = HostRunner(compile_plan(found.model, plan, host, tmp_path / "network.vmfb", flags, kernels))
    logits = []
    for image in images(found.model.input_shape):
        done = execute(found.graph, plan, {"input": image})
        got = runner.run([image])
        for value, output in zip(got, found.graph.outputs, strict=True):
            np.testing.assert_array_equal(value, done[output])
        logits.append(got[0])
    # the images must lead to different results, or equality says nothing
    assert len({value.tobytes() for value in logits}) == len(logits)


def test_every_value_of_a_network_equals_the_reference(network: GetNetwork, tmp_path: Path) -> None:
    """ShuffleNetV2 has every kind that moves values: slices, transpositions, concatenations, reshapes."""
    found = network("shufflenet_v2@32")
    plan = mixed_plan(found)
    names = compile_instrumented(found.model, plan, get("host"), tmp_path / "all.vmfb", kernels=True)
    assert set(names) == set(plan.layers)
    runner = HostRunner(tmp_path / "all.vmfb")
    stored = integer_values(found.graph, plan)
    for image in images(found.model.input_shape)[:2]:
        values = dict(zip(names, runner.run([image])[len(found.graph.outputs) :], strict=True))
        done = trace(found.graph, plan, {"input": image})
        for name in plan.layers:
            expected = done.floats.get(name)
            if name in stored:
                expected = dequantize(done.integers[name], stored[name])
            np.testing.assert_array_equal(values[name], expected, err_msg=name)


@pytest.mark.parametrize(
    ("name", "kernels"), [("resnet18@32", True), ("mobilenet_v2@32", True), ("squeezenet@32", False)]
)
def test_float_islands(network: GetNetwork, tmp_path: Path, name: str, kernels: bool) -> None:
    """Integer layers equal the reference given the module's own values, float ones up to the order of sums.

    End to end a value that sums in another order may round to the next step when it is quantized behind its
    island. Such flips are rare, so the difference lies far below the noise of the quantization itself.
    """
    found = network(name)
    floats = islands(found)
    plan = mixed_plan(found, floats)
    names = compile_instrumented(found.model, plan, get("host"), tmp_path / "islands.vmfb", kernels)
    runner = HostRunner(tmp_path / "islands.vmfb")
    outputs = found.graph.outputs
    for image in images(found.model.input_shape):
        results = runner.run([image])
        values = {**dict(zip(names, results[len(outputs) :], strict=True)), "input": image}
        assert check_integer_layers(found.graph, plan, values) == len(plan.layers) - len(floats)
        for layer in map(found.graph.layer, floats):
            expected = execute_layer(layer, None, [values[i] for i in layer.inputs])
            largest = np.abs(expected).max()
            np.testing.assert_allclose(values[layer.name], expected, rtol=0, atol=FLOAT_TOLERANCE * largest)
        done = execute(found.graph, plan, {"input": image})
        for value, output in zip(results, outputs, strict=False):
            assert noise_of(done[output], value).sqnr_db > ISLAND_SQNR_DB
