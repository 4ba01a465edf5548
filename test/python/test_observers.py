"""Histograms against the data itself, observers against brute force."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantune import numerics
from quantune.calibration.histogram import BINS, Histogram
from quantune.calibration.observers import OBSERVERS, entropy, find, mse, percentile
from quantune.errors import QuantuneError

BATCHES = st.lists(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30),
    min_size=1,
    max_size=6,
)


def observed(*batches: Any) -> Histogram:
    histogram = Histogram("v")
    for batch in batches:
        histogram.add(np.asarray(batch, dtype=np.float32))
    return histogram


def same(a: Histogram, b: Histogram) -> bool:
    facts = [{k: v for k, v in h.to_json().items() if k not in ("sum", "sum_squares")} for h in (a, b)]
    return facts[0] == facts[1]


@settings(max_examples=200, deadline=None)
@given(BATCHES, st.randoms(use_true_random=False))
def test_histograms_do_not_depend_on_order_or_batches(batches: list[list[float]], shuffle: Any) -> None:
    values = [v for batch in batches for v in batch]
    x = np.array(values, dtype=np.float32)
    whole = observed(x)
    shuffle.shuffle(values)
    merged = Histogram("v")
    for batch in batches:
        merged.merge(observed(batch))
    assert same(whole, observed(*batches)) and same(whole, observed(values)) and same(whole, merged)

    expected = np.histogram(x.astype(np.float64), bins=whole.edges)[0]
    assert np.array_equal(whole.counts, expected)
    assert (whole.minimum, whole.maximum) == (x.min(), x.max())
    assert whole.count == x.size == whole.counts.sum()
    assert whole.zeros == (x == 0).sum() and whole.nonzero_counts.sum() == (x != 0).sum()
    np.testing.assert_allclose(merged.sum, x.sum(dtype=np.float64), rtol=1e-9, atol=1e-9 * np.abs(x).max())
    np.testing.assert_allclose(merged.sum_squares, (x.astype(np.float64) ** 2).sum(), rtol=1e-9)
    assert same(whole, Histogram.from_json(json.loads(json.dumps(merged.to_json()))))


def test_bins_are_as_fine_as_they_fit() -> None:
    for scale in (1e-30, 1e-3, 1.0, 1e20):
        histogram = observed(np.linspace(0, 1, 5000) * scale)
        assert np.count_nonzero(histogram.counts) > BINS / 2 - 1
    offset = observed(np.float32(1000) + np.linspace(0, 1, 5000, dtype=np.float32))
    assert np.count_nonzero(offset.counts) > BINS / 2 - 1  # far from zero, too


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_activations_are_named(bad: float) -> None:
    histogram = Histogram("layer1.0.conv1")
    with pytest.raises(QuantuneError, match=r"layer1\.0\.conv1 holds NaN or infinity"):
        histogram.add(np.array([1.0, bad, 2.0]))
    assert histogram.count == 0
    with pytest.raises(QuantuneError, match="damaged histogram"):
        Histogram.from_json({"counts": [1]})


def gelu_like(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / (1 + np.exp(-x))


RNG = np.random.default_rng(0)
SAMPLES: dict[str, NDArray[np.float32]] = {
    name: np.asarray(x, dtype=np.float32)
    for name, x in {
        "normal": RNG.normal(size=50_000) * 3,
        "laplace": RNG.laplace(size=50_000) * 1e-3,
        "relu": np.maximum(RNG.normal(size=50_000), 0),
        "relu6": np.clip(RNG.normal(size=50_000) * 3, 0, 6),
        "silu": gelu_like(RNG.normal(size=50_000) * 3),
        "negative": -np.abs(RNG.normal(size=50_000)),
        "outlier": np.append(RNG.normal(size=50_000), [40.0]),
        "rarely on": np.append(np.zeros(50_000), [1.0, 2.0, 3.0]),
        "constant": np.full(100, 5.0),
    }.items()
}
HISTOGRAMS = {name: observed(x) for name, x in SAMPLES.items()}


def loss(x: NDArray[np.float32], lo: float, hi: float, bits: int) -> float:
    q = numerics.quantization_from_range(lo, hi, bits)
    difference = numerics.dequantize(numerics.quantize(x, q), q).astype(np.float64) - x
    return float((difference**2).mean())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_ranges_are_sane(name: str, observer: str, bits: int) -> None:
    x = SAMPLES[name]
    lo, hi = OBSERVERS[observer](HISTOGRAMS[name], bits)
    assert min(float(x.min()), 0) <= lo <= 0 <= hi <= max(float(x.max()), 0) and lo < hi
    assert (lo == 0) == (x.min() >= 0) and (hi == 0) == (x.max() <= 0)
    numerics.quantization_from_range(lo, hi, bits)


@pytest.mark.parametrize("name", ["normal", "laplace", "relu", "relu6", "silu", "negative"])
@pytest.mark.parametrize("bits", [8, 4, 3])
def test_mse_predicts_and_finds_the_least_error(name: str, bits: int) -> None:
    """Against the error on the data itself, over a dense grid of clipping ranges."""
    x, histogram = SAMPLES[name], HISTOGRAMS[name]
    lo, hi = OBSERVERS["mse"](histogram, bits)
    found = loss(x, lo, hi, bits)
    assert mse.expected_error(histogram, lo, hi, bits) == pytest.approx(found, rel=0.03)
    lows, highs = ([end * f for f in np.linspace(0.2, 1, 11)] if end else [0.0] for end in (x.min(), x.max()))
    best = min(loss(x, float(low), float(high), bits) for low in lows for high in highs)
    assert found <= best * 1.03
    assert found <= loss(x, *OBSERVERS["min-max"](histogram, bits), bits) * 1.001


def test_every_observer_clips_an_outlier_at_four_bits() -> None:
    x, histogram = SAMPLES["outlier"], HISTOGRAMS["outlier"]
    unclipped = loss(x, *OBSERVERS["min-max"](histogram, 4), 4)
    for name in ("percentile", "entropy", "mse"):
        lo, hi = OBSERVERS[name](histogram, 4)
        assert hi < 10 and loss(x, lo, hi, 4) < unclipped / 5, name


@pytest.mark.parametrize("p", [90.0, 99.0, 99.9])
def test_percentiles_are_those_of_the_data(p: float) -> None:
    x = SAMPLES["normal"]
    lo, hi = percentile.range(HISTOGRAMS["normal"], 8, percentile=p)
    width = HISTOGRAMS["normal"].width
    assert abs(lo - np.percentile(x, 100 - p)) < 2 * width and abs(hi - np.percentile(x, p)) < 2 * width
    sparse = np.concatenate([np.zeros(10**6), SAMPLES["relu"]])
    assert percentile.range(observed(sparse), 8, p) == percentile.range(HISTOGRAMS["relu"], 8, p)


def test_divergence_is_that_of_the_definition() -> None:
    """Eight bins, four levels: by hand."""
    counts = np.array([4.0, 2.0, 1.0, 1.0, 3.0, 3.0, 1.0, 1.0])
    centers = np.arange(0.5, 8)
    # Scale 2.5 over [0, 7.5]: bins round to levels 0 1 1 1 2 2 3 3.
    p, q = counts / 16, np.array([4, 4 / 3, 4 / 3, 4 / 3, 3, 3, 1, 1]) / 16
    assert entropy.divergence(counts, centers, 0, 7.5, 2) == pytest.approx(float((p * np.log(p / q)).sum()))
    # Over [0, 6.9] the last bin's count joins the one before it; Q knows nothing of it.
    p, q = np.array([4, 2, 1, 1, 3, 3, 2]) / 16, np.array([4, 1.5, 1.5, 7 / 3, 7 / 3, 7 / 3, 1]) / 15
    assert entropy.divergence(counts, centers, 0, 6.9, 2) == pytest.approx(float((p * np.log(p / q)).sum()))
    assert entropy.divergence(counts, centers, 0, 2.0, 2) == np.inf


def test_entropy_takes_no_notice_of_a_background() -> None:
    """Channels that are constant where nothing is to be seen: each a point mass, a third of all together."""
    x = SAMPLES["relu"]
    masses = np.repeat(np.linspace(0.1, 1.7, 25, dtype=np.float32), x.size // 50)
    lo, hi = OBSERVERS["entropy"](observed(x, masses), 8)
    assert lo == 0 and hi > 0.7 * x.max()
    assert loss(x, lo, hi, 8) < 1.5 * loss(x, 0, float(x.max()), 8)


def test_dead_and_empty_values() -> None:
    for name, observer in OBSERVERS.items():
        assert observer(observed(np.zeros(10)), 8) == (0.0, 0.0), name
        with pytest.raises(QuantuneError, match="dead was never observed"):
            observer(Histogram("dead"), 8)


def test_unknown_observers_list_near_matches() -> None:
    assert find("mse") is OBSERVERS["mse"]
    with pytest.raises(QuantuneError, match="unknown observer 'min_max'; did you mean min-max"):
        find("min_max")
    with pytest.raises(QuantuneError, match="min-max or percentile or entropy or mse"):
        find("zzz")
