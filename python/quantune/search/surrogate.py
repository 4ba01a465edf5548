"""The tuner's surrogate: boosted trees that have learnt from other networks how a search goes on."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantune.search.features import GROUPS, Array, Prior, Scales, rows
from quantune.search.space import Space
from quantune.search.trials import Measured

if TYPE_CHECKING:
    import xgboost

HISTORY = (0, 0, 1, 1, 2, 3, 4, 6, 8, 12, 16, 24)
"""How many trials the simulated searches have behind them that the surrogate learns from."""


@dataclass(frozen=True)
class Options:
    """What nested validation chooses.

    groups: of features. scales: theirs. depth, rounds, rate: of the boosted trees.
    boldness: how many standard deviations of the ensemble a candidate is credited with.
    residual: whether the trees start from other networks' mean utility and learn the rest.
    members: of the ensemble.
    """

    groups: tuple[str, ...] = GROUPS
    scales: Scales = field(default_factory=Scales)
    depth: int = 3
    rounds: int = 60
    rate: float = 0.1
    boldness: float = 1.0
    residual: bool = False
    members: int = 4


class Surrogate:
    """An ensemble of boosted trees, fitted once on other networks' trials.

    The trees see simulated searches: for each network, some of its trials as the past (the likelier the
    better the rest thought of them), and the utility of its other settings as what to predict. What the
    network at hand has shown so far therefore enters as features, and no fit is needed between trials. Each
    member weighs the networks anew (the Bayesian bootstrap): where they disagree, so do the members.
    """

    def __init__(self, space: Space, others: Sequence[Measured], options: Options, seed: int) -> None:
        self.space, self.others, self.options = space, tuple(others), options
        random = np.random.default_rng(seed)
        parts = [self._lessons(index, random) for index in range(len(others))]
        x, y, base = (np.concatenate([part[k] for part in parts]) for k in range(3))
        owner = np.repeat(np.arange(len(parts)), [len(part[1]) for part in parts])
        self._members = [self._fit(x, y, base, owner, random) for _ in range(options.members)]

    def bold(self, boldness: float) -> Surrogate:
        """The same ensemble with another boldness."""
        other = copy.copy(self)
        other.options = replace(self.options, boldness=boldness)
        return other

    def score(
        self, prior: Prior, traits: Mapping[str, float], tried: NDArray[np.int64], scores: Array
    ) -> Array:
        """The acquisition of the prior's candidates, f64 [candidates]: utility, and credit for uncertainty.

        traits: of the network at hand. tried: indices of candidates. scores: theirs, f64 [tried], in points.
        """
        import xgboost

        data = xgboost.DMatrix(
            rows(self.space, prior, traits, tried, scores, self.options.groups),
            base_margin=self._base(prior),
            nthread=1,
        )
        guesses = np.array([member.predict(data) for member in self._members])
        found: Array = guesses.mean(axis=0) + self.options.boldness * guesses.std(axis=0)
        return found

    def _base(self, prior: Prior) -> Array:
        return prior.mean if self.options.residual else np.zeros(len(prior.codes))

    def _lessons(self, index: int, random: np.random.Generator) -> tuple[Array, Array, Array]:
        """Features, utilities and base of searches on one of the networks, which the others inform."""
        own = self.others[index]
        rest = [other for other in self.others if other is not own]
        prior = Prior(self.space, rest, self.space.codes(own.settings), self.options.scales)
        utility = np.exp((own.scores - own.best) / self.options.scales.tau)
        x, y = [], []
        for length in HISTORY:
            order = np.argsort(-(np.log(prior.mean + 1e-3) + random.gumbel(size=len(utility))))
            tried, open_ = order[:length], np.sort(order[length:])
            found = rows(self.space, prior, own.traits, tried, own.scores[tried], self.options.groups)
            x.append(found[open_])
            y.append(open_)
        chosen = np.concatenate(y)
        return np.concatenate(x), utility[chosen], self._base(prior)[chosen]

    def _fit(
        self, x: Array, y: Array, base: Array, owner: NDArray[np.int64], random: np.random.Generator
    ) -> xgboost.Booster:
        import xgboost

        weights = random.exponential(size=len(self.others))[owner]
        data = xgboost.DMatrix(x, y, weight=weights, base_margin=base, nthread=1)
        options = {
            "max_depth": self.options.depth,
            "eta": self.options.rate,
            "subsample": 0.7,
            "colsample_bytree": 0.7,
            "min_child_weight": 4.0,
            "lambda": 4.0,
            "nthread": 1,
            "tree_method": "hist",
            "max_bin": 64,
            "seed": int(random.integers(2**31)),
        }
        return xgboost.train(options, data, self.options.rounds)
