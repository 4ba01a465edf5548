"""Settings: weight scales, schemes of activations, what plans and commands make of them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import GetNetwork, check_integer_layers, compile_instrumented, images
from quantune.backend.runner import HostRunner
from quantune.cli import methods
from quantune.errors import PlanError, QuantuneError
from quantune.numerics import quantization_from_range, quantize_weights, weight_scales
from quantune.plan.edit import load_plan
from quantune.plan.finish import with_settings
from quantune.plan.schema import Plan
from quantune.plan.settings import DEFAULT, Scheme, Settings, choices, settings_from_json
from quantune.plan.strategies import uniform
from quantune.plan.strategies.request import Request
from quantune.targets import get

SCHEMES: tuple[Scheme, ...] = choices()["scheme"]
ENDS = st.floats(0, 1e6, width=32)


def error(w: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """The squared error of each channel."""
    return np.asarray(((w - quantize_weights(w, scales, bits) * scales) ** 2).sum(axis=0))


# Weights


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(2, 5), heavy=st.booleans())
def test_clipped_scales_lose_no_more_than_the_range(seed: int, bits: int, heavy: bool) -> None:
    random = np.random.default_rng(seed)
    drawn = random.standard_t(2, (200, 6)) if heavy else random.standard_normal((200, 6))
    w = drawn.astype(np.float32)
    whole = np.abs(w).max(axis=0) / (2 ** (bits - 1) - 1)
    clipped = weight_scales(w, bits)
    # as good as the finest search, within what a histogram's bins hide
    finest = np.min([error(w, whole * f, bits) for f in np.linspace(0.02, 1, 200)], axis=0)
    assert (error(w, clipped, bits) <= 1.06 * finest).all()
    assert (clipped <= whole * (1 + 1e-6)).all()


@pytest.mark.parametrize("bits", [8, 6])
def test_wide_weights_keep_their_range(bits: int) -> None:
    w = np.random.default_rng(0).standard_t(2, (50, 4)).astype(np.float32)
    np.testing.assert_allclose(
        weight_scales(w, bits), np.abs(w).max(axis=0) / (2 ** (bits - 1) - 1), rtol=1e-6
    )


def test_one_scale_a_tensor_and_powers_of_two() -> None:
    w = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    w *= np.array([1, 2, 4, 0], np.float32)
    tensor = weight_scales(w, 8, granularity="tensor")
    np.testing.assert_allclose(tensor, np.abs(w).max() / 127, rtol=1e-6)
    power = weight_scales(w, 8, power_of_two=True)
    assert power[3] == 1
    exponents = np.log2(power)
    np.testing.assert_allclose(exponents, np.rint(exponents), atol=1e-6)
    assert (power >= weight_scales(w, 8) * (1 - 1e-6)).all() and (
        power[:3] < 2 * weight_scales(w, 8)[:3]
    ).all()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_weights_that_are_zero_or_nan(bits: int, granularity: str) -> None:
    w = np.zeros((3, 3, 2), np.float32)
    np.testing.assert_array_equal(weight_scales(w, bits, granularity=granularity), 1.0)  # type: ignore[arg-type]
    tiny = np.full((4, 1), 1e-38, np.float32)
    assert weight_scales(tiny, bits)[0] == 1
    w[0, 0, 1] = np.nan
    with pytest.raises(QuantuneError, match="conv9: weights of output channel 1 are NaN"):
        weight_scales(w, bits, name="conv9", granularity=granularity)  # type: ignore[arg-type]


# Activations


@settings(max_examples=200, deadline=None)
@given(lo=ENDS, hi=ENDS, bits=st.integers(2, 8), scheme=st.sampled_from(SCHEMES))
def test_every_scheme_covers_the_range(lo: float, hi: float, bits: int, scheme: Scheme) -> None:
    found = quantization_from_range(-lo, hi, bits, scheme)
    if lo + hi < 1e-20:
        return
    step = found.scale * (0.5 if scheme == "asymmetric" else 0) + 1e-5 * max(lo, hi)
    assert -found.zero_point * found.scale <= -lo + step
    assert (found.maximum - found.zero_point) * found.scale >= hi - step
    middle = 1 << (bits - 1)
    if scheme in ("symmetric", "power-of-two") or (scheme == "symmetric-unsigned" and lo > 0):
        assert found.zero_point == middle
    elif scheme == "symmetric-unsigned":
        assert found.zero_point == 0
    if scheme == "power-of-two":
        assert math.isclose(math.log2(found.scale), round(math.log2(found.scale)), abs_tol=1e-6)


def test_outliers_of_a_million_keep_a_scale() -> None:
    for scheme in SCHEMES:
        found = quantization_from_range(-1.0, 1e6, 8, scheme)
        assert 1e6 / 255 * 0.99 <= found.scale <= 1e6 / 60


# Plans


@pytest.mark.parametrize(
    "chosen",
    [
        Settings(granularity="tensor", scheme="symmetric"),
        Settings(scheme="power-of-two"),
        Settings(granularity="tensor", scheme="symmetric-unsigned"),
    ],
    ids=lambda chosen: f"{chosen.granularity}-{chosen.scheme}",
)
def test_compiled_is_the_reference_to_the_bit(network: GetNetwork, chosen: Settings, tmp_path: Path) -> None:
    small = network("squeezenet@32")
    ranges = {n: quantization_from_range(*limits, 8, chosen.scheme) for n, limits in small.ranges.items()}
    request = Request(small.model.name, small.graph, "host", ranges)
    plan = with_settings(uniform.plan(request), small.graph, chosen)
    names = compile_instrumented(small.model, plan, get("host"), tmp_path / "net.vmfb", kernels=True)
    image = images(small.model.input_shape)[0]
    results = HostRunner(tmp_path / "net.vmfb").run([image])[len(small.graph.outputs) :]
    values = dict(zip(names, results, strict=True))
    inputs = {"input": image}
    assert check_integer_layers(small.graph, plan, inputs | values) == len(small.graph.layers)


def test_a_width_given_by_hand_keeps_the_range_of_explicit_scales(
    network: GetNetwork, tmp_path: Path
) -> None:
    small = network("squeezenet@32")
    ranges = {n: quantization_from_range(*limits, 8) for n, limits in small.ranges.items()}
    chosen = Settings(granularity="tensor")
    plan = with_settings(uniform.plan(Request("net", small.graph, "host", ranges)), small.graph, chosen)
    raw = plan.to_json()
    name = small.graph.contractions[0].name
    raw["layers"]["*"] = {"weight_bits": 6}
    (tmp_path / "plan.json").write_text(json.dumps(raw))
    edited = load_plan(tmp_path / "plan.json", small.graph)
    assert edited.settings == chosen
    before, after = plan.layers[name].weight_scales, edited.layers[name].weight_scales
    assert before is not None and after is not None
    np.testing.assert_allclose(np.array(after) / before, 127 / 31)


def test_plans_say_their_settings(tmp_path: Path) -> None:
    plan = Plan("m", "f", "s", "t", {}, {}, settings=Settings(observer="entropy"))
    assert settings_from_json(plan.to_json()["settings"]) == plan.settings
    assert settings_from_json(None) == DEFAULT
    for raw, naming in (
        ({"schema": 1}, "unknown setting"),
        ({"scheme": "odd"}, "none of asymmetric"),
        (3, "object"),
    ):
        with pytest.raises(PlanError, match=naming):
            settings_from_json(raw)


def test_command_lines_and_settings() -> None:
    assert methods.settings(observer=None, scheme=None) == DEFAULT
    for name, values in choices().items():
        for value in values[1:]:
            chosen = dataclasses.replace(DEFAULT, **{name: value})
            ((option, text),) = methods.words(chosen).items()
            assert methods.settings(**{option.removeprefix("--").replace("-", "_"): text}) == chosen
    with pytest.raises(QuantuneError, match="did you mean symmetric"):
        methods.settings(scheme="symetric")
    with pytest.raises(QuantuneError, match="--scheme would change nothing"):
        methods.refuse("because", scheme="symmetric", observer=None)
