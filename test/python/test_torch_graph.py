"""The torch twin of a Graph computes what the reference does, for every kind of layer that the zoo has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compiled import GetNetwork
from quantune.errors import UnsupportedError
from quantune.graph.model import Graph, Layer
from quantune.reference import execute_float
from quantune.reference.torch_graph import TorchGraph, from_kernel, to_kernel


@pytest.mark.parametrize("name", ["mobilenet_v2@32", "shufflenet_v2@32"])
def test_equals_the_reference(network: GetNetwork, name: str) -> None:
    graph = network(name).model.graph
    images = np.random.default_rng(0).normal(size=(3, 1, 32, 32)).astype(np.float32)
    with torch.no_grad():
        (got,) = TorchGraph(graph)(torch.from_numpy(images))
    assert got.shape == (3, 10)
    for image, row in zip(images, got.numpy(), strict=True):
        expected = execute_float(graph, {"input": image[None]})[graph.outputs[0]]
        np.testing.assert_allclose(row, expected[0], rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_values_and_kernels_can_be_replaced(network: GetNetwork) -> None:
    graph = network("mobilenet_v2@32").model.graph
    twin, seen = TorchGraph(graph), set()

    def halved(name: str, value: torch.Tensor) -> torch.Tensor:
        seen.add(name)
        return value / 2 if name == graph.outputs[0] else value

    images = torch.randn(2, 1, 32, 32)
    (plain,) = twin(images)
    (half,) = twin(images, on_value=halved)
    torch.testing.assert_close(half, plain / 2)
    assert seen == {*graph.inputs, *(layer.name for layer in graph)}
    (constant,) = twin(images, on_kernel=lambda _, kernel: torch.zeros_like(kernel))
    torch.testing.assert_close(constant[0], constant[1])


def test_kernels_come_back_as_they_were(network: GetNetwork) -> None:
    for layer in network("mobilenet_v2@32").model.graph.contractions:
        assert layer.weight is not None
        np.testing.assert_array_equal(from_kernel(layer, to_kernel(layer)), layer.weight)


def test_uneven_padding_and_generous_pools_equal_the_reference() -> None:
    pads = {"padding": [[1, 0], [0, 2]], "strides": [2, 1], "dilations": [1, 1]}
    weight = np.random.default_rng(1).normal(size=(3, 3, 2, 4)).astype(np.float32)
    layers = (
        Layer("c", "conv2d", ("input",), (1, 4, 8, 4), pads, (0.0, 6.0), weight=weight),
        Layer("p", "max_pool", ("c",), (1, 2, 7, 4), {"kernel": [3, 2], **pads, "padding": [[0, 1], [0, 0]]}),
        Layer("a", "avg_pool", ("p",), (1, 1, 6, 4), {"kernel": [2, 2], "strides": [1, 1], "divisor": 3.0}),
        Layer(
            "s",
            "slice",
            ("a",),
            (1, 1, 3, 2),
            {"offsets": [0, 0, 1, 0], "sizes": [1, 1, 3, 2], "strides": [1, 1, 2, 2]},
        ),
        Layer("d", "pad", ("s",), (1, 1, 4, 3), {"low": [0, 0, 1, 0], "high": [0, 0, 0, 1], "value": 0.5}),
    )
    graph = Graph({"input": (1, 9, 8, 2)}, layers, ("d",))
    x = np.random.default_rng(2).normal(size=(2, 9, 8, 2)).astype(np.float32)
    (got,) = TorchGraph(graph)(torch.from_numpy(x))
    for image, row in zip(x, got.detach().numpy(), strict=True):
        expected = execute_float(graph, {"input": image[None]})["d"]
        np.testing.assert_allclose(row.transpose(1, 2, 0), expected[0], rtol=1e-5, atol=1e-5)


def test_opaque_layers_are_named() -> None:
    layer = Layer("head.softmax", "opaque", ("input",), (1, 10), {"operation": "linalg.softmax"})
    graph = Graph({"input": (1, 10)}, (layer,), ("head.softmax",))
    with pytest.raises(UnsupportedError, match=r"head\.softmax \(linalg\.softmax\)"):
        TorchGraph(graph)
    with pytest.raises(UnsupportedError, match="batches"):
        TorchGraph(replace(graph, layers=(replace(layer, kind="reshape", output_shape=(10,)),)))
