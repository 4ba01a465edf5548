"""Measured costs: the modules that are timed, the cache, and the prices that come of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiled import GetNetwork
from quantune.backend import pipeline
from quantune.backend.compiler import compile_module, kernel_target
from quantune.backend.device import Loaded
from quantune.costs import calibrate as calibrating
from quantune.costs import measure as measuring
from quantune.costs import shapes
from quantune.costs.calibrate import BOUNDARIES, calibrate, missing, shapes_of, works_of
from quantune.costs.find import find_prices
from quantune.costs.measure import measure
from quantune.costs.module import Work, Written, write
from quantune.costs.prices import prices, work_of_shape
from quantune.costs.shapes import Shape, parse_key, shape_of
from quantune.costs.store import Cost, Store, open_store
from quantune.plan.cost import MEASURED, MODELLED, modelled, work_of
from quantune.targets import Target, get
from quantune.targets.cost_model import PRECISIONS

CONV = Shape("conv2d", (9, 8), 12, 20, (3, 3), (2, 1), residual=True)
SHAPES = (
    CONV,
    Shape("depthwise_conv2d", (7, 7), 24, 24, (3, 3)),
    Shape("linear", (1, 1), 40, 10),
    Shape("linear", (1, 1), 24, 8, residual=True, cold=True),
    Shape("add", (4, 4), 8, 8),
    Shape("max_pool", (7, 7), 8, 8, (3, 3), (2, 2)),
    Shape("avg_pool", (4, 4), 8, 8, (4, 4)),
    Shape("conv2d", (9, 9), 4, 4, (3, 3), dilations=(2, 2)),
    BOUNDARIES[0],
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "costs.json", "host", "a processor")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.key)
def test_keys_say_everything(shape: Shape) -> None:
    assert parse_key(shape.key) == shape


@pytest.mark.parametrize("key", ["conv2d", "conv2d 1x1 1x1 4", f"{CONV.key} more"])
def test_other_text_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="not the key of a shape"):
        parse_key(key)


@pytest.mark.parametrize("name", ["resnet18@32", "mobilenet_v2@32", "googlenet@32"])
def test_shapes_describe_their_layers(network: GetNetwork, name: str) -> None:
    graph = network(name).graph
    found = 0
    for layer in graph:
        if (shape := shape_of(graph, layer)) is not None:
            work, found = work_of(graph, layer), found + 1
            assert shape.elements == work.written
            if layer.is_contraction:
                assert (shape.macs, shape.weights) == (layer.macs, work.weights)
    assert found >= len(graph.contractions)
    assert len(shapes_of(graph)) < found


def test_large_layers_of_large_networks_are_cold(
    network: GetNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = network("resnet18@32").graph
    assert not any(shape.cold for shape in shapes_of(graph))
    weights = sum(layer.weight.size for layer in graph.contractions if layer.weight is not None)
    monkeypatch.setattr(shapes, "COLD_LAYER", 20_000)
    monkeypatch.setattr(shapes, "COLD_NETWORK", weights)
    assert not any(shape.cold for shape in shapes_of(graph))
    monkeypatch.setattr(shapes, "COLD_NETWORK", weights - 1)
    assert {s for s in shapes_of(graph) if s.cold} == {s for s in shapes_of(graph) if s.weights > 20_000}
    assert len({s.cold for s in shapes_of(graph)}) == 2


def run(written: Written, works: list[Work], target: Target, folder: Path) -> list[np.ndarray]:
    """What every function makes of the same inputs."""
    vmfb = compile_module(written.source, folder / "costs.vmfb", target).path
    nothing, results = Loaded(vmfb, name="nothing"), []
    for work, function in zip(works, written.functions, strict=True):
        loaded = nothing.sibling(function.name)
        count = len(loaded.signature.inputs) - len(function.blobs)
        random = np.random.default_rng(0)
        kinds = [(t.shape, t.dtype) for t in loaded.signature.inputs[:count]]
        inputs = [random.integers(0, 100, shape).astype(dtype) for shape, dtype in kinds]
        crossing = work.shape.kind == "quantize" or work.precision == "f32"
        assert {np.dtype(dtype).kind for _, dtype in kinds} == ({"f"} if crossing else {"i"})
        results.append(loaded.download(loaded.call(loaded.upload([*inputs, *function.blobs])))[0])
    return results


def test_functions_do_the_work(tmp_path: Path) -> None:
    """With microkernels and without: the same bits, of the size that the shape says."""
    works = [
        Work(shape, name) for shape in SHAPES for name in (("w8a8", "w6a8") if shape.weights else ("a8",))
    ]
    host = get("host")
    found = run(write(works, kernel_target(host)), works, host, tmp_path)
    plain = run(write(works, pipeline.NO_KERNELS), works, host, tmp_path)
    for work, ours, generated in zip(works, found, plain, strict=True):
        assert ours.size == work.shape.elements and len(np.unique(ours)) > 1
        np.testing.assert_array_equal(ours, generated, err_msg=work.shape.key)


@pytest.mark.parametrize("target", ["host", "x86-64-avx2", "cortex-a72"])
def test_constants_are_what_ships(target: str) -> None:
    """4 bits in half a byte wherever there are kernels; the model knows the bytes to a fifth."""
    chosen = get(target)
    shapes = [
        Shape("conv2d", (18, 18), 64, 64, (3, 3)),
        Shape("conv2d", (7, 7), 256, 80),
        Shape("linear", (1, 1), 512, 100),
    ]
    works = [Work(shape, name) for shape in shapes for name in ("w8a8", "w5a8", "w4a8", "f32")]
    written = write(works, kernel_target(chosen))
    size = {
        (work.shape, work.precision): function.constant_bytes
        for work, function in zip(works, written.functions, strict=True)
    }
    for shape in shapes:
        assert shape.weights <= size[shape, "w8a8"] < 1.3 * shape.weights
        assert size[shape, "w5a8"] >= shape.weights and size[shape, "f32"] >= 4 * shape.weights
        if chosen.kernel_isas:
            assert size[shape, "w4a8"] < 0.65 * size[shape, "w8a8"]
            for name in ("w8a8", "w4a8", "f32"):
                model = modelled(work_of_shape(shape), name, chosen.cost_model)
                assert model.bytes == pytest.approx(size[shape, name], rel=0.2)


def test_more_work_takes_longer() -> None:
    small, large = Shape("conv2d", (4, 4), 16, 16), Shape("conv2d", (34, 34), 64, 64, (3, 3))
    found = measure([Work(shape, name) for shape in (small, large) for name in ("w8a8", "f32")], get("host"))
    for name in ("w8a8", "f32"):
        assert 0 < 2 * found[Work(small, name)].microseconds < found[Work(large, name)].microseconds


def test_cold_layers_are_timed_after_everything_else_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOST_CACHE", 1 << 16)
    read: list[int] = []
    real = measuring._call

    def call(loaded: Loaded, function: object, before: list[np.ndarray]) -> object:
        read.append(sum(array.size for array in before))
        return real(loaded, function, before)  # type: ignore[arg-type]

    monkeypatch.setattr(measuring, "_call", call)
    warm = Shape("linear", (1, 1), 64, 16)
    found = measure([Work(warm, "w8a8"), Work(replace(warm, cold=True), "f32")], get("host"))
    assert sorted(read) == [0, 0, (1 << 16) // measuring.LINE]
    assert all(cost.microseconds > 0 for cost in found.values())


def test_of_a_huge_layer_a_part_is_timed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time and its bytes grow with its filters."""
    monkeypatch.setattr(calibrating, "HUGE_WEIGHTS", 1024 * 1024)
    timed: list[Work] = []

    def fake(works: list[Work], target: Target, kernels: bool) -> dict[Work, Cost]:
        timed.extend(works)
        return {work: Cost(work.shape.weights / 1000, work.shape.weights) for work in works}

    monkeypatch.setattr(calibrating, "measure", fake)
    whole = Shape("linear", (1, 1), 1024, 3000)
    works = works_of([whole, Shape("conv2d", (9, 9), 1024, 1024, (3, 3))], ["w8a8", "w4a8"])
    assert [work.shape for work in works] == [whole, whole]  # of a convolution nothing is timed
    assert not calibrate(works, get("host"), store)
    assert {work.shape.filters for work in timed} == {1024}
    assert store.costs[whole.key]["w4a8"] == Cost(3000 * 1.024, 3000 * 1024)


# The cache


def test_a_store_is_read_back() -> None:
    store = open_store(get("host"))
    store.costs[CONV.key] = {"w8a8": Cost(1.5, 100)}
    store.save()
    assert open_store(get("host")).costs == store.costs
    assert open_store(get("host"), kernels=False).costs == {}
    assert open_store(get("x86-64-avx2")).path != store.path
    for damage in ("{", "[]", '{"costs": {"conv9d": {}}}', '{"costs": {"add 1x1x1 1x1 1": [1]}}'):
        store.path.write_text(damage)
        assert open_store(get("host")).costs == {}
    store.path.unlink()


def test_calibration_goes_on_after_an_interrupt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Work]] = []

    def pretend(works: list[Work], target: Target, kernels: bool) -> dict[Work, Cost]:
        if len(asked) == 1:
            asked.append([])
            raise KeyboardInterrupt
        asked.append(works)
        return {work: Cost(1.0, 2) for work in works}

    monkeypatch.setattr(calibrating, "measure", pretend)
    shapes = [Shape("conv2d", (size, size), 8, 8) for size in range(1, 20)]
    with pytest.raises(KeyboardInterrupt):
        calibrate(works_of(shapes), get("host"), store)
    finished = asked[0]
    assert store.path.exists() and missing(finished, store) == []
    assert calibrate(missing(works_of(shapes), store), get("host"), store) == []
    assert not set(finished) & {work for works in asked[1:] for work in works}
    assert missing(works_of(shapes), store) == []
    # heaviest first, a shape's precisions together
    assert finished[0].shape == shapes[-1] and len(finished) % len(PRECISIONS) == 0


def test_a_spent_budget_leaves_work_over(store: Store) -> None:
    works = works_of([CONV])
    assert calibrate(works, get("host"), store, budget_seconds=-1) == works
    assert store.costs == {} and not store.path.exists()


# Prices


def test_prices_are_measured_or_scaled(network: GetNetwork, store: Store) -> None:
    """What is not measured costs as much more than the model says as its kind does elsewhere."""
    graph, target = network("resnet18@32").graph, get("host")
    first, *others = (layer for layer in graph if layer.kind == "conv2d")
    shape = shape_of(graph, first)
    assert shape is not None
    model = modelled(work_of(graph, first), "w8a8", target.cost_model)
    store.costs[shape.key] = {"w8a8": Cost(3 * model.microseconds, 77)}
    found, alone = prices(graph, target, store), prices(graph, target)
    measured = found.of(first.name, "w8a8")
    assert (measured.microseconds, measured.bytes, measured.source) == (3 * model.microseconds, 77, MEASURED)
    for layer in others:
        if shape_of(graph, layer) != shape:
            ours, theirs = found.of(layer.name, "w8a8"), alone.of(layer.name, "w8a8")
            assert ours.microseconds == pytest.approx(3 * theirs.microseconds)
            assert ours.source == theirs.source == MODELLED
    assert found.sources[MODELLED] == len(found.layers)  # none has all of its precisions measured
    alike = sum(shape_of(graph, layer) == shape for layer in graph)
    assert prices(graph, target, store, ("w8a8",)).sources[MEASURED] == alike


def test_boundaries_are_a_line(network: GetNetwork, store: Store) -> None:
    graph = network("resnet18@32").graph
    for shape in BOUNDARIES:
        store.costs[shape.key] = {"a8": Cost(2 + 0.001 * shape.elements, 0)}
    line = prices(graph, get("host"), store).quantize
    assert line.source == MEASURED and line(5000) == pytest.approx(7)
    for shape in BOUNDARIES:
        store.costs[shape.key] = {"a8": Cost(1e-9 * shape.elements**2, 0)}
    assert prices(graph, get("host"), store).quantize(1) >= 0


def test_modelled_prices_depend_on_nothing_here(network: GetNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> object:
        raise AssertionError("nothing should be measured")

    graph, target = network("mobilenet_v2@32").graph, get("cortex-a53")
    monkeypatch.setattr(calibrating, "measure", refuse)
    monkeypatch.setattr("quantune.costs.find.open_store", refuse)
    found = find_prices(graph, target, "modelled", (8, 6))
    assert found.sources == {MODELLED: len(found.layers)}
    monkeypatch.undo()
    monkeypatch.setattr(calibrating, "measure", refuse)
    assert find_prices(graph, target, "measured", (8, 6)) == found  # it does not run here
