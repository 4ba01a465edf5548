"""The reference: f32 layers against torch, integer layers against loops over Python integers, whole plans."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantune import numerics
from quantune.errors import PlanError, QuantuneError, UnsupportedError
from quantune.graph.model import Graph, Layer
from quantune.plan.boundaries import OUTPUT, boundaries, integer_values
from quantune.plan.schema import LayerPlan, Plan, Quantization
from quantune.reference import execute, execute_float, execute_layer, trace
from quantune.reference.layers import accumulate

X, Y = Quantization(8, 0.02, 117), Quantization(6, 0.11, 23)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stored(quantization: Quantization, *shape: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, quantization.maximum + 1, shape).astype(np.uint8)


def conv(depthwise: bool, strides: list[int], dilations: list[int], padding: list[list[int]]) -> Layer:
    """3x2 kernel over [1, 9, 8, 5]; the output shape comes from the formula, not the code under test."""
    facts = {"strides": strides, "dilations": dilations, "padding": padding}
    size = [
        (side + sum(pad) - step * (k - 1) - 1) // stride + 1
        for side, pad, step, k, stride in zip((9, 8), padding, dilations, (3, 2), strides, strict=True)
    ]
    channels = 5 if depthwise else 7
    weight = normal(3, 2, 5) if depthwise else normal(3, 2, 5, 7)
    kind: Any = "depthwise_conv2d" if depthwise else "conv2d"
    shape = (1, size[0], size[1], channels)
    return Layer("c", kind, ("input",), shape, facts, weight=weight, bias=normal(channels, seed=2))


CONVS = list(product([False, True], [[1, 1], [2, 1]], [[1, 1], [1, 2]], [[[0, 0], [0, 0]], [[1, 2], [0, 1]]]))


@pytest.mark.parametrize(("depthwise", "strides", "dilations", "padding"), CONVS)
def test_float_convolutions_equal_torch(
    depthwise: bool, strides: list[int], dilations: list[int], padding: list[list[int]]
) -> None:
    layer = conv(depthwise, strides, dilations, padding)
    x = normal(1, 9, 8, 5, seed=3)
    assert layer.weight is not None and layer.bias is not None
    weight = layer.weight[..., None, :] if depthwise else layer.weight
    image = torch.nn.functional.pad(torch.from_numpy(x).permute(0, 3, 1, 2), [*padding[1], *padding[0]])
    kernel = torch.from_numpy(weight).permute(3, 2, 0, 1)
    bias, groups = torch.from_numpy(layer.bias), 5 if depthwise else 1
    expected = torch.conv2d(image, kernel, bias, strides, 0, dilations, groups).permute(0, 2, 3, 1)
    got = execute_layer(layer, None, [x])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("depthwise", "strides", "dilations", "padding"), CONVS)
def test_integer_accumulators_equal_loops(
    depthwise: bool, strides: list[int], dilations: list[int], padding: list[list[int]]
) -> None:
    layer = conv(depthwise, strides, dilations, padding)
    x = stored(X, 1, 9, 8, 5)
    weight_q, _ = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=8))
    got = accumulate(layer, weight_q, x, X)
    assert got.dtype == np.int32 and got.shape == layer.output_shape
    for _, oh, ow, f in product(*map(range, layer.output_shape)):
        total = 0
        for i, j, c in product(range(3), range(2), range(5)):
            if depthwise and c != f:
                continue
            row = oh * strides[0] + i * dilations[0] - padding[0][0]
            column = ow * strides[1] + j * dilations[1] - padding[1][0]
            inside = 0 <= row < 9 and 0 <= column < 8
            value = int(x[0, row, column, c]) if inside else X.zero_point
            total += value * int(weight_q[i, j, c] if depthwise else weight_q[i, j, c, f])
        assert got[0, oh, ow, f] == total


def test_long_sums_stay_exact() -> None:
    """Beyond 2**24 the accumulation leaves f32; every operand at its extreme, one sum odd."""
    weight = np.full((4097, 2), 1.0, dtype=np.float32)
    layer = Layer("fc", "linear", ("input",), (1, 2), weight=weight)
    weight_q, _ = numerics.layer_weights(layer, LayerPlan("integer", weight_bits=8))
    x = np.full((1, 4097), 255, dtype=np.uint8)
    assert accumulate(layer, weight_q, x, X).tolist() == [[4097 * 255 * 127] * 2]
    huge = replace(layer, weight=np.ones((70_000, 1), dtype=np.float32))
    with pytest.raises(QuantuneError, match="fc: its sums need more than 32 bits"):
        accumulate(huge, np.full((70_000, 1), 127, dtype=np.int8), np.zeros((1, 70_000), np.uint8), X)


def within_a_step(got: NDArray[Any], real: NDArray[Any], output: Quantization) -> None:
    """`real` in f64 from the dequantized operands: what the integers stand for."""
    exact = np.clip(np.rint(real / output.scale + output.zero_point), 0, output.maximum)
    assert got.dtype == np.uint8 and np.abs(got - exact).max() <= 1 and (got == exact).mean() > 0.98


POOL = {"kernel": [3, 2], "strides": [2, 2], "dilations": [1, 1], "padding": [[1, 1], [0, 1]]}


def test_pools() -> None:
    x, q = normal(1, 7, 6, 3), stored(X, 1, 7, 6, 3)
    image = torch.from_numpy(x).permute(0, 3, 1, 2)
    largest = Layer("m", "max_pool", ("input",), (1, 4, 3, 3), POOL)
    filled = torch.nn.functional.pad(image, [0, 1, 1, 1], value=-torch.inf)
    expected = torch.max_pool2d(filled, [3, 2], 2).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(execute_layer(largest, None, [x]), expected)
    mean = Layer("a", "avg_pool", ("input",), (1, 4, 3, 3), {**POOL, "divisor": 6.0})
    averages = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(image, [0, 1, 1, 1]), [3, 2], 2)
    np.testing.assert_allclose(
        execute_layer(mean, None, [x]), averages.permute(0, 2, 3, 1).numpy(), atol=1e-6
    )

    integer = LayerPlan("integer")
    real = numerics.dequantize(q, X)
    got = execute_layer(largest, integer, [q], [X], X)
    assert np.array_equal(numerics.dequantize(got, X), execute_layer(largest, None, [real]))
    within_a_step(execute_layer(mean, integer, [q], [X], Y), execute_layer(mean, None, [real]), Y)
    whole = Layer("g", "avg_pool", ("input",), (1, 3), {"divisor": 42})
    np.testing.assert_allclose(execute_layer(whole, integer, [q], [X]), real.mean(axis=(1, 2)), atol=1e-6)


MOVERS: list[tuple[Any, tuple[int, ...], dict[str, Any]]] = [
    ("pad", (1, 6, 7, 3), {"low": [0, 1, 0, 0], "high": [0, 0, 2, 0], "value": 0.0}),
    ("reshape", (1, 75), {}),
    ("transpose", (1, 3, 5, 5), {"permutation": [0, 3, 1, 2]}),
    ("slice", (1, 2, 5, 1), {"offsets": [0, 1, 0, 2], "sizes": [1, 2, 5, 1], "strides": [1, 2, 1, 1]}),
    ("clamp", (1, 5, 5, 3), {}),
]


@pytest.mark.parametrize(("kind", "shape", "facts"), MOVERS)
def test_integers_move_as_their_values_do(kind: Any, shape: tuple[int, ...], facts: dict[str, Any]) -> None:
    clamp = (0.0, X.scale * 60) if kind == "clamp" else (-np.inf, np.inf)
    layer = Layer("t", kind, ("input",), shape, facts, clamp=clamp)
    q = stored(X, 1, 5, 5, 3)
    real = execute_layer(layer, None, [numerics.dequantize(q, X)])
    moved = execute_layer(layer, LayerPlan("integer"), [q], [X], X)
    assert moved.dtype == np.uint8 and moved.shape == real.shape == shape
    np.testing.assert_allclose(numerics.dequantize(moved, X), real, rtol=1e-6)
    assert np.array_equal(execute_layer(layer, LayerPlan("integer"), [q], [X]), numerics.dequantize(moved, X))
    if kind != "clamp":
        with pytest.raises(ValueError, match="keeps the quantization"):
            execute_layer(layer, LayerPlan("integer"), [q], [X], Y)


def test_concat_requantizes_what_differs() -> None:
    layer = Layer("cat", "concat", ("a", "b"), (1, 2, 2, 5), {"axis": 3})
    a, b = stored(X, 1, 2, 2, 3), stored(Y, 1, 2, 2, 2)
    got = execute_layer(layer, LayerPlan("integer", output=Y), [a, b], [X, Y], Y)
    assert np.array_equal(got, np.concatenate([numerics.requantize(a, X, Y), b], axis=3))
    emitted = execute_layer(layer, LayerPlan("integer", output=Y), [a, b], [X, Y], None)
    assert np.array_equal(
        emitted, np.concatenate([numerics.dequantize(a, X), numerics.dequantize(b, Y)], axis=3)
    )


def test_add() -> None:
    layer = Layer("s", "add", ("a", "b"), (1, 4, 4, 3), clamp=(0.0, np.inf))
    a, b = stored(X, 1, 4, 4, 3), stored(Y, 1, 4, 4, 3)
    reals = [numerics.dequantize(a, X), numerics.dequantize(b, Y)]
    expected = execute_layer(layer, None, reals)
    assert np.array_equal(expected, np.maximum(reals[0] + reals[1], 0))
    out = Quantization(8, 0.04, 3)
    within_a_step(execute_layer(layer, LayerPlan("integer"), [a, b], [X, Y], out), expected, out)


def network() -> Graph:
    """conv → max-pool → (conv + residual) → concat → mean → linear, with a second output off the middle."""
    unit = {"strides": [1, 1], "dilations": [1, 1], "padding": [[1, 1], [1, 1]]}
    pool = {"kernel": [2, 2], "strides": [2, 2], "padding": [[0, 0], [0, 0]]}
    relu = (0.0, np.inf)
    image, half = (1, 8, 8, 6), (1, 4, 4, 6)
    return Graph(
        {"input": (1, 8, 8, 3)},
        (
            Layer("stem", "conv2d", ("input",), image, unit, relu, weight=normal(3, 3, 3, 6), bias=normal(6)),
            Layer("pool", "max_pool", ("stem",), half, pool),
            Layer("dw", "depthwise_conv2d", ("pool",), half, unit, (0.0, 6.0), weight=normal(3, 3, 6)),
            Layer(
                "pw",
                "conv2d",
                ("dw", "pool"),
                half,
                {},
                residual=True,
                weight=normal(1, 1, 6, 6) / np.float32(3),
            ),
            Layer("cat", "concat", ("pool", "pw"), (1, 4, 4, 12), {"axis": 3}),
            Layer("mean", "avg_pool", ("cat",), (1, 12), {"kernel": [4, 4], "divisor": 16}),
            Layer("fc", "linear", ("mean",), (1, 5), weight=normal(12, 5), bias=normal(5)),
        ),
        ("fc", "pw"),
    )


def calibrated(graph: Graph, x: NDArray[np.float32], floats: Set[str] = frozenset(), bits: int = 8) -> Plan:
    """A plan whose ranges are those of one float execution."""
    values = execute_float(graph, {"input": x})
    q = {k: numerics.quantization_from_range(float(v.min()), float(v.max()), bits) for k, v in values.items()}
    layers = {
        layer.name: LayerPlan(
            "float" if layer.name in floats else "integer",
            q[layer.name],
            bits if layer.is_contraction else None,
        )
        for layer in graph
    }
    return Plan("test", graph.fingerprint, "manual", "host", {"input": q["input"]}, layers)


def sqnr(signal: NDArray[Any], noisy: NDArray[Any]) -> float:
    return float(10 * np.log10((signal**2).sum() / max(((signal - noisy) ** 2).sum(), 1e-30)))


def test_a_whole_integer_network_is_close_to_float() -> None:
    graph, x = network(), normal(1, 8, 8, 3, seed=9)
    exact = execute_float(graph, {"input": x})
    done = {bits: execute(graph, calibrated(graph, x, bits=bits), {"input": x}) for bits in (4, 8)}
    for name in graph.outputs:
        assert done[8][name].dtype == np.float32
        assert sqnr(exact[name], done[8][name]) > 30
        assert sqnr(exact[name], done[8][name]) > sqnr(exact[name], done[4][name]) > 5
    assert {name for name, value in done[8].items() if value.dtype == np.uint8} == {
        "stem",
        "pool",
        "dw",
        "cat",
        "mean",
    }


def test_forms_of_values_and_boundaries() -> None:
    graph, x = network(), normal(1, 8, 8, 3, seed=9)
    whole = calibrated(graph, x)
    values = integer_values(graph, whole)
    assert set(values) == {"input", "stem", "pool", "dw", "pw", "cat", "mean"}  # `fc` is read by nobody: f32
    assert values["pool"] == values["stem"]
    edited = replace(whole, inputs={"input": Quantization(8, 0.0123456789, 3)})
    assert integer_values(graph, edited)["input"] == Quantization(8, 0.01234568, 3)
    assert boundaries(graph, whole) == [
        ("input", "stem", "quantize"),
        ("pw", OUTPUT, "dequantize"),
        ("fc", OUTPUT, "dequantize"),
    ]
    island = calibrated(graph, x, {"dw"})
    assert integer_values(graph, island).keys() == values.keys()  # `pool` and `dw` exist in both forms
    assert boundaries(graph, island)[1:3] == [("pool", "dw", "dequantize"), ("dw", "pw", "quantize")]
    assert set(integer_values(graph, calibrated(graph, x, {layer.name for layer in graph}))) == set()
    tail = calibrated(graph, x, {"mean", "fc"})
    assert "cat" not in integer_values(
        graph, tail
    )  # its only reader is float: dequantized by the layer itself
    assert ("cat", "mean", "dequantize") in boundaries(graph, tail)


NAMES = tuple(layer.name for layer in network())


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 1000))
def test_any_mixture_is_its_layers_one_by_one(floats: set[str], seed: int) -> None:
    """`execute_layer` on traced inputs gives the traced output; boundaries are where forms really change."""
    graph, x = network(), normal(1, 8, 8, 3, seed=seed)
    plan = calibrated(graph, x, floats)
    done, values = trace(graph, plan, {"input": x}), integer_values(graph, plan)
    assert set(done.integers) == set(values)
    for layer in graph:
        forms: dict[str, Any] = done.floats if layer.name in floats else done.integers
        inputs = [forms[name] for name in layer.inputs]
        sources = [values.get(name) for name in layer.inputs]
        got = execute_layer(layer, plan.layers[layer.name], inputs, sources, values.get(layer.name))
        stays = layer.name not in floats and layer.name in values
        assert np.array_equal(got, (done.integers if stays else done.floats)[layer.name])
        if layer.name in floats and layer.name in values:
            assert np.array_equal(done.integers[layer.name], numerics.quantize(got, values[layer.name]))
    crossings = {(value, kind) for value, _, kind in boundaries(graph, plan)}
    assert {v for v, kind in crossings if kind == "quantize"} == {
        v for v in values if v == "input" or v in floats
    }
    assert {v for v, kind in crossings if kind == "dequantize"} == {
        v for v in NAMES if v not in floats and v in done.floats
    }
    exact = execute_float(graph, {"input": x})
    assert all(sqnr(exact[name], done.outputs[name]) > 20 for name in graph.outputs)
    if floats == set(NAMES):
        assert all(np.array_equal(exact[name], done.outputs[name]) for name in graph.outputs)


def test_an_f32_residual_is_added_unrounded() -> None:
    layer = network().layer("pw")
    q, r = stored(X, 1, 4, 4, 6), normal(1, 4, 4, 6, seed=5)
    choice = LayerPlan("integer", weight_bits=8)
    with_residual = execute_layer(layer, choice, [q, r], [X, None], None)
    without = execute_layer(replace(layer, residual=False, inputs=("dw",)), choice, [q], [X], None)
    np.testing.assert_allclose(with_residual, without + r, atol=1e-6)


def test_mistakes_are_named() -> None:
    graph, x = network(), normal(1, 8, 8, 3)
    plan = calibrated(graph, x)
    with pytest.raises(
        QuantuneError, match=r"'input' takes f32 of shape \(1, 8, 8, 3\) \(NHWC\), not shape \(1, 3"
    ):
        execute(graph, plan, {"input": x.transpose(0, 3, 1, 2)})
    with pytest.raises(QuantuneError, match="not nothing"):
        execute_float(graph, {})
    lacking = replace(plan, layers={**plan.layers, "dw": LayerPlan("float")})
    with pytest.raises(PlanError, match="layer dw has no output quantization in the plan, but pw reads it"):
        execute(graph, lacking, {"input": x})
    with pytest.raises(PlanError, match="'input', which stem reads"):
        execute(graph, replace(plan, inputs={}), {"input": x})
    opaque = Layer("soft", "opaque", ("fc",), (1, 5), {"operation": "softmax"})
    longer = replace(graph, layers=(*graph.layers, opaque), outputs=("soft",))
    with pytest.raises(UnsupportedError, match=r"soft \(softmax\)"):
        execute(longer, plan, {"input": x})
    with pytest.raises(PlanError, match="soft cannot be integer"):
        execute(longer, replace(plan, layers={**plan.layers, "soft": LayerPlan("integer")}), {"input": x})
