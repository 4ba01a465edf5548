"""The metrics that compete: each gives every layer and width a number, larger for worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.sensitivity.metrics import Noise
from quantune.sensitivity.result import LayerSensitivity, Sensitivity
from sensitivity_observe import LEVELS, Observed, Seen

SHIPPED = "v2: probes along the int8 run, from the compiled module"
PLAIN = "int8 output SQNR + added weight SQNR, from the compiled module"
BEST = "output error x transfer measured with 4-bit weights"
Table = dict[str, dict[int, float]]
"""Layer → bits → metric."""


@dataclass(frozen=True)
class Candidate:
    """One metric on one level of the IR."""

    metric: str
    level: str
    of: Callable[[Observed, Seen, int], float]

    @property
    def name(self) -> str:
        return f"{self.metric}, {self.level}"

    def table(self, observed: Observed, bits: tuple[int, ...]) -> Table:
        return {
            name: {width: self.of(observed, seen, width) for width in bits}
            for name, seen in observed.layers.items()
        }


def candidates() -> list[Candidate]:
    """Single metrics on every level where they exist, then combinations, then what reaches the outputs."""
    found = []
    for level in LEVELS[:2]:
        found.append(Candidate("weight SQNR", level, _weight(level, "nsr")))
        found.append(Candidate("weight MSE", level, _weight(level, "mse")))
    for level in LEVELS:
        found.append(Candidate("activation SQNR", level, _storage(level, "nsr")))
        found.append(Candidate("activation MSE", level, _storage(level, "mse")))
    for level in LEVELS:
        found.append(Candidate("output SQNR", level, _local(level, "nsr")))
        found.append(Candidate("output MSE", level, _local(level, "mse")))
    found.append(Candidate("weight noise x input energy", "linalg", _moments("energy")))
    found.append(Candidate("weight noise x input mean and variance", "linalg", _moments("mean and variance")))
    found.append(Candidate("accumulated SQNR", "fused", lambda _, seen, _bits: seen.accumulated.nsr))
    found.append(Candidate("output SQNR x accumulated / local", "fused", _ratio))
    found.append(Candidate("output energy, propagated", "fused", lambda _, seen, bits: seen.spread[bits]))
    found.append(Candidate("output error, propagated", "fused", _linear))
    found.append(Candidate("error and energy, propagated", "fused", _both))
    found.append(Candidate("error and energy, propagated, as divergence", "fused", divergence))
    found.append(Candidate("output error x transfer measured in int8", "fused", _transfer("int8")))
    found.append(Candidate(BEST, "fused", _transfer("w4")))
    return found


def _weight(level: str, kind: str) -> Callable[[Observed, Seen, int], float]:
    return lambda _, seen, bits: _pick(seen.weight[level, bits], kind)


def _storage(level: str, kind: str) -> Callable[[Observed, Seen, int], float]:
    return lambda _, seen, bits: _pick(seen.storage[level], kind)


def _local(level: str, kind: str) -> Callable[[Observed, Seen, int], float]:
    return lambda _, seen, bits: _pick(seen.local[level, bits], kind)


def _moments(kind: str) -> Callable[[Observed, Seen, int], float]:
    def metric(_: Observed, seen: Seen, bits: int) -> float:
        twin = seen.local["linalg", bits]
        return seen.moments[kind, bits] / max(twin.signal / max(twin.count, 1), 1e-30)

    return metric


def _pick(noise: Noise, kind: str) -> float:
    return noise.nsr if kind == "nsr" else noise.mse


def _transfer(kind: str) -> Callable[[Observed, Seen, int], float]:
    """As a noise-to-signal ratio of the outputs."""
    return lambda observed, seen, bits: (
        seen.local["fused", bits].noise * seen.transfer[kind] / max(observed.output.signal, 1e-30)
    )


def _ratio(_: Observed, seen: Seen, bits: int) -> float:
    """The error that the layer makes, weighed by how much of the int8 run's error gathers there."""
    return seen.local["fused", bits].nsr * seen.accumulated.nsr / max(seen.rounding.nsr, 1e-30)


def _linear(_: Observed, seen: Seen, bits: int) -> float:
    return float(np.square(seen.delta[bits]).sum(axis=1).mean())


def _both(observed: Observed, seen: Seen, bits: int) -> float:
    return _linear(observed, seen, bits) + seen.spread[bits]


def divergence(observed: Observed, seen: Seen, bits: int) -> float:
    """Kullback-Leibler divergence of the predicted classes, to second order in the logits' error.

    Half of the variance of that error under the float network's own class probabilities.
    """
    p = softmax(observed.logits)
    delta = seen.delta[bits]
    steady = (p * np.square(delta)).sum(1) - np.square((p * delta).sum(1))
    even = seen.spread[bits] / p.shape[1] * (1 - np.square(p).sum(1))
    return float((steady + even).mean() / 2)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def compiled(sensitivity: Sensitivity, like: Mapping[str, Mapping[int, float]]) -> dict[str, Table]:
    """Of the layers and widths in `like`: a layer's own noise, and what v2 plans with."""
    layers = sensitivity.layers
    return {
        PLAIN: {name: {bits: _plain(layers[name], bits) for bits in row} for name, row in like.items()},
        SHIPPED: {name: {bits: layers[name].added_nsr[bits] for bits in row} for name, row in like.items()},
    }


def _plain(layer: LayerSensitivity, bits: int) -> float:
    """A layer's own noise-to-signal ratio with so narrow weights, by local metrics."""
    return (layer.local_nsr or 0.0) + max(0.0, layer.weight_nsr[bits] - layer.weight_nsr[8])


def spearman(metric: Mapping[str, Mapping[int, float]], truth: Mapping[str, Mapping[int, float]]) -> float:
    """Rank correlation over everything that both have."""
    from scipy.stats import spearmanr

    pairs = [(value, truth[name][bits]) for name, row in metric.items() for bits, value in row.items()]
    a, b = zip(*pairs, strict=True)
    return 0.0 if len(set(a)) == 1 or len(set(b)) == 1 else float(spearmanr(a, b).statistic)
