"""The tuner as a sampler of Optuna, so that its studies can be stored, resumed and shared like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from quantune.search.features import Prior, Scales
from quantune.search.space import Setting, Space
from quantune.search.surrogate import Options, Surrogate
from quantune.search.trials import Measured

Score = Callable[[FrozenTrial, float], float | None]
"""A trial, and a weight between the study's directions from 0 to 1 → points, higher is better.

None for a trial that repeats an earlier one.
"""
Others = Callable[[float], Sequence[Measured]]
"""That weight → the trials of other networks, scored alike."""
OPTIONS = Options(groups=("settings", "graph", "context"), scales=Scales(tau=0.25), boldness=1.0)
"""The least mean cost over all folds of nested validation on the published trials."""
REASON = "reason"
"""The attribute of a failed trial that says why."""


class TransferSampler(optuna.samplers.BaseSampler):
    """Asks the surrogate for the next setting among those that no worker has tried or is trying.

    With several directions every trial draws a weight between them: so the whole front is searched.
    """

    def __init__(
        self,
        space: Space,
        traits: Mapping[str, float],
        others: Others,
        score: Score,
        options: Options | None = None,
        seed: int = 0,
    ) -> None:
        self._space, self._traits, self._others, self._score = space, traits, others, score
        self._options, self._seed = options or OPTIONS, seed
        self._known: tuple[float, Surrogate, Prior] | None = None

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {f.name: CategoricalDistribution(f.levels) for f in self._space.factors}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        weight = 0.5
        if len(study.directions) > 1:
            weight = float(np.random.default_rng([self._seed, trial.number]).random())
        index = {setting: i for i, setting in enumerate(self._space.settings)}
        done: dict[int, float] = {}
        failed: list[int] = []
        taken: set[int] = set()
        for other in study.get_trials(deepcopy=False):
            number = index.get(setting_of(other, self._space))
            if number is None or other.number == trial.number:
                continue
            if other.state == TrialState.COMPLETE and (score := self._score(other, weight)) is not None:
                done[number] = score
            if REASON in other.user_attrs:
                failed.append(number)
            if other.state in (TrialState.COMPLETE, TrialState.RUNNING) or REASON in other.user_attrs:
                taken.add(number)
        if done:  # what fails is as bad as anything seen, and so may be what is like it
            done |= dict.fromkeys(failed, min(done.values()))
        scores = self._acquisition(weight, done)
        if len(taken) < len(scores):
            scores[list(taken)] = -np.inf
        return self._space.describe(self._space.settings[int(scores.argmax())])

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"{param_name} is no factor of the tuner's space")

    def _acquisition(self, weight: float, done: Mapping[int, float]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of all settings; the surrogate is fitted once, or for every weight."""
        if self._known is None or self._known[0] != weight:
            surrogate = Surrogate(self._space, self._others(weight), self._options, self._seed)
            codes = self._space.codes(self._space.settings)
            prior = Prior(self._space, surrogate.others, codes, self._options.scales)
            self._known = (weight, surrogate, prior)
        _, surrogate, prior = self._known
        tried = np.array(list(done), np.int64)
        return surrogate.score(prior, self._traits, tried, np.array(list(done.values()), np.float64))


def setting_of(trial: FrozenTrial, space: Space) -> Setting:
    """The levels that a trial was given; "" for those that it was not (yet)."""
    return tuple(str(trial.params.get(name, "")) for name in space.names)
