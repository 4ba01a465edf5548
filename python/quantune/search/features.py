"""What the surrogate knows of a setting: itself, the network, other networks' trials, the trials so far.

Networks differ in how much they lose to quantization at all, and a collapsed one would drown the rest of
any mean. So everything is told in utilities, exp(-gap / tau), where the gap is what a setting lacks to the
best of its own network: 1 for the best, about 0 for all that nobody would choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.search.space import Space
from quantune.search.trials import Measured

Array = NDArray[np.float64]

GROUPS = ("settings", "graph", "prior", "context")
"""Features: the one-hot setting, the network's graph, other networks' trials, this network's trials."""


@dataclass(frozen=True)
class Scales:
    """Constants of the features.

    tau: the gap, in points, at which a setting's utility is down to 1/e.
    strange: how little a trial says about a setting, for each level in which they differ (0 nothing, 1 all).
    near: the same within one network, for what its own trials say about its other settings.
    trust: how far another network may be off, in nats of log gap, and still count as alike.
    """

    tau: float = 0.5
    strange: float = 0.02
    near: float = 0.5
    trust: float = 0.5


class Prior:
    """What the trials of other networks say about the candidates: arrays of [networks, candidates]."""

    def __init__(self, space: Space, others: Sequence[Measured], codes: NDArray[np.int64], scales: Scales):
        self.codes, self.scales = codes, scales
        utilities, log_gaps = [], []
        for other in others:
            weights = alike(codes, space.codes(other.settings), scales.strange)
            weights /= weights.sum(axis=1, keepdims=True)
            gaps = other.best - other.scores
            utilities.append(weights @ np.exp(-gaps / scales.tau))
            log_gaps.append(weights @ np.log(gaps + scales.tau))
        self.utility = np.array(utilities)
        self.log_gap = np.array(log_gaps)

    def without(self, index: int) -> Prior:
        """The same without one of the networks."""
        rest = object.__new__(Prior)
        rest.codes, rest.scales = self.codes, self.scales
        rest.utility = np.delete(self.utility, index, axis=0)
        rest.log_gap = np.delete(self.log_gap, index, axis=0)
        return rest

    @property
    def mean(self) -> Array:
        """The mean utility of each candidate, f64 [candidates]."""
        return self.utility.mean(axis=0)


def alike(a: NDArray[np.int64], b: NDArray[np.int64], decay: float) -> Array:
    """decay ^ (number of levels in which settings differ), f64 [a, b]."""
    return np.power(decay, (a[:, None, :] != b[None, :, :]).sum(axis=2), dtype=np.float64)


def graph_features(traits: Mapping[str, float]) -> Array:
    """f64 [7]: sizes in logarithms, kinds of operations as shares of the convolutions."""
    conv = max(traits["conv"], 1.0)
    shares = [traits[name] / conv for name in ("depthwise", "pointwise", "skip", "batch_norm", "activation")]
    return np.array([np.log1p(traits["nodes"]), np.log1p(traits["size_mb"]), *shares])


def prior_features(prior: Prior) -> Array:
    """f64 [candidates, 4]: mean, spread and maximum of the utility, mean log gap."""
    u = prior.utility
    return np.stack([u.mean(0), u.std(0), u.max(0), prior.log_gap.mean(0)], axis=1)


def context_features(prior: Prior, tried: NDArray[np.int64], scores: Array) -> Array:
    """What this network's trials so far add, f64 [candidates, 5].

    tried: indices of candidates. scores: theirs, f64 [tried].

    The columns: the number of trials; the utility in those networks whose trials went like this one's; a
    Gaussian process on how far the log gaps lie from other networks' mean (the posterior's mean added to
    that mean, its standard deviation); the utility of the best trial that differs in one level at most.
    """
    count = len(prior.codes)
    if not len(tried):
        ones = np.ones(count)
        return np.stack([0 * ones, prior.mean, prior.log_gap.mean(0), ones, 0 * ones], axis=1)
    gaps = scores.max() - scores
    seen = np.log(gaps + prior.scales.tau)
    # others' gaps are counted from the best of the same trials, as this network's are
    theirs = np.exp(prior.log_gap[:, tried]) - prior.scales.tau
    theirs = np.log(theirs - theirs.min(axis=1, keepdims=True) + prior.scales.tau)
    off = np.abs(theirs - seen).mean(axis=1)
    weights = np.exp(-(off - off.min()) / prior.scales.trust)
    similar = weights @ prior.utility / weights.sum()
    expected = prior.log_gap.mean(0)
    shift, deviation = _posterior(prior.codes, tried, seen - expected[tried], prior.scales.near)
    close = (prior.codes[:, None, :] != prior.codes[None, tried, :]).sum(axis=2) <= 1
    beside = (close * np.exp(-gaps / prior.scales.tau)).max(axis=1)
    return np.stack([np.full(count, len(tried)), similar, expected + shift, deviation, beside], axis=1)


def _posterior(
    codes: NDArray[np.int64], tried: NDArray[np.int64], residual: Array, near: float
) -> tuple[Array, Array]:
    """Mean and deviation at all candidates given `residual` at the tried; unit variance, noise 0.1."""
    kernel = alike(codes, codes[tried], near)
    gram = kernel[tried] + 0.1 * np.eye(len(tried))
    gain = np.linalg.solve(gram, kernel.T)
    variance = 1.0 - np.einsum("ct,tc->c", kernel, gain)
    return gain.T @ residual, np.sqrt(np.maximum(variance, 0.0))


def rows(
    space: Space,
    prior: Prior,
    traits: Mapping[str, float],
    tried: NDArray[np.int64],
    scores: Array,
    groups: Sequence[str] = GROUPS,
) -> Array:
    """The features of all candidates, f64 [candidates, features], in the groups' order."""
    makers = {
        "settings": lambda: space.one_hot(prior.codes),
        "graph": lambda: np.tile(graph_features(traits), (len(prior.codes), 1)),
        "prior": lambda: prior_features(prior),
        "context": lambda: context_features(prior, tried, scores),
    }
    return np.concatenate([makers[group]() for group in groups], axis=1)
