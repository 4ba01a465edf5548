"""Errors followed to the outputs: what `propagation` says, against what the network does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compiled import GetNetwork
from quantune.graph.model import Graph, Layer
from quantune.reference import execute_float
from sensitivity_propagation import energy, linear
from sensitivity_transfer import transfers

RANDOM = np.random.default_rng(5)


def unclamped(graph: Graph) -> Graph:
    layers = (dataclasses.replace(layer, clamp=(-np.inf, np.inf)) for layer in graph)
    return dataclasses.replace(graph, layers=tuple(layers))


def changed(graph: Graph, name: str, values: dict[str, np.ndarray], error: np.ndarray) -> np.ndarray:
    """The first output, when the layer's value is `values[name] + error`."""
    found = dict(values) | {name: values[name] + error}
    after = {name}
    for layer in graph:
        if layer.name != name and not after.isdisjoint(layer.inputs):
            one = Graph({i: found[i].shape for i in layer.inputs}, (layer,), (layer.name,))
            found[layer.name] = execute_float(one, {i: found[i] for i in layer.inputs})[layer.name]
            after.add(layer.name)
    return found[graph.outputs[0]]


@pytest.mark.parametrize("name", ["resnet18@32", "shufflenet_v2@32"])
def test_exact_where_the_network_is_linear(network: GetNetwork, name: str) -> None:
    """Nothing clamps: then the transpose says to the last digits what an error does."""
    graph = unclamped(network(name).graph)
    values = execute_float(graph, {"input": RANDOM.normal(size=(1, 1, 32, 32)).astype(np.float32)})
    rows = np.eye(10, dtype=np.float32)
    found = linear(graph, {}, {graph.outputs[0]: rows})
    for layer in graph.contractions[2::9]:
        error = RANDOM.normal(size=values[layer.name].shape).astype(np.float32)
        error *= np.abs(values[layer.name]).max()
        expected = changed(graph, layer.name, values, error) - values[graph.outputs[0]]
        predicted = found[layer.name].reshape(10, -1) @ error.reshape(-1)
        np.testing.assert_allclose(predicted, expected[0], atol=2e-3 * np.abs(expected).max())


def test_energy_is_the_mean_over_random_signs() -> None:
    """Of errors that are independent from element to element; with padding, strides, groups and pooling."""
    facts = {"strides": [2, 1], "padding": [[1, 1], [0, 1]]}
    weight = RANDOM.normal(size=(3, 2, 2, 6)).astype(np.float32)
    layers = (
        Layer("c", "conv2d", ("x",), (1, 4, 6, 6), {**facts, "groups": 2}, weight=weight),
        Layer("p", "avg_pool", ("c",), (1, 2, 3, 6), {"kernel": [2, 2], "strides": [2, 2]}),
        Layer("r", "reshape", ("p",), (1, 36)),
        Layer("l", "linear", ("r",), (1, 5), weight=RANDOM.normal(size=(36, 5)).astype(np.float32)),
    )
    graph = Graph({"x": (1, 8, 6, 4)}, layers, ("l",))
    gains, steady = energy(graph, {}), linear(graph, {}, {"l": np.eye(5, dtype=np.float32)})
    deviation = RANDOM.uniform(0.1, 2, (4, 6, 6)).astype(np.float32)
    errors = RANDOM.choice([-1.0, 1.0], (4000, 4, 6, 6)) * deviation
    outputs = errors.reshape(4000, -1) @ steady["c"].reshape(5, -1).T
    measured = float(np.square(outputs).sum(axis=1).mean())
    assert float((gains["c"] * np.square(deviation)).sum()) == pytest.approx(measured, rel=0.1)
    # a window's weights meet the same element at several places: energy counts each of them
    assert gains["x"].shape == (1, 8, 6, 4) and (gains["x"] > 0).all()


def test_a_clamp_lets_its_share_through() -> None:
    weight = np.eye(2, dtype=np.float32)
    layers = (
        Layer("a", "linear", ("x",), (1, 2), clamp=(0.0, np.inf), weight=weight),
        Layer("b", "linear", ("a",), (1, 2), weight=weight),
    )
    graph = Graph({"x": (1, 2)}, layers, ("b",))
    passed = {"a": np.array([0.25, 1.0])}
    rows = {"b": np.eye(2, dtype=np.float32)}
    np.testing.assert_allclose(linear(graph, passed, rows)["x"], np.diag([0.25, 1.0]))
    np.testing.assert_allclose(linear(graph, passed, rows)["a"], np.eye(2))
    np.testing.assert_allclose(energy(graph, passed)["x"], np.array([[0.25, 1.0]]))


def test_transfers_are_what_the_errors_became() -> None:
    """Two ways to the output, one through a residual; every layer's own error is known."""
    graph = Graph(
        {"x": (1, 2)},
        (
            Layer("a", "linear", ("x",), (1, 2), weight=np.eye(2, dtype=np.float32)),
            Layer("b", "linear", ("a",), (1, 2), weight=np.eye(2, dtype=np.float32)),
            Layer("c", "linear", ("b", "a"), (1, 2), residual=True, weight=np.eye(2, dtype=np.float32)),
            Layer("d", "clamp", ("c",), (1, 2), clamp=(0.0, np.inf)),
        ),
        ("d",),
    )
    # b makes 3 of a unit of a's error, c 2 of b's and 1 of a's, d half of c's
    errors = {"x": 0.0, "a": 1.0, "b": 1.0 * 3 + 0.5, "c": 3.5 * 2 + 1.0 + 0.25, "d": 8.25 / 2}
    found = transfers(graph, errors, {"a": 1.0, "b": 0.5, "c": 0.25}, {})
    assert found == pytest.approx({"c": 0.5, "b": 1.0, "a": 3.5})
