"""Searches that the tuner is compared with, on trials that were measured before.

Each is a function (space, measured, others, seed) → the indices of the settings in the order tried, every
one once: that a search asks for a setting again costs it nothing, since results are cached. It ends where
the best was found, or goes on at random where the search has nothing more to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from quantune.search.features import alike
from quantune.search.space import Factor, Space
from quantune.search.trials import Measured

if TYPE_CHECKING:
    import optuna

Order = Callable[[Space, Measured, Sequence[Measured], int], list[int]]

IDLE = 200
"""So many asks in a row without a new setting, and a search counts as stuck."""
WARM_UP = 4
"""Random trials before plain XGBoost has something to learn from."""
SAMPLERS = ("random", "grid", "genetic", "tpe")


def sampled(name: str) -> Order:
    """One of SAMPLERS, as Optuna does it."""

    def order(space: Space, measured: Measured, others: Sequence[Measured], seed: int) -> list[int]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        index = {setting: i for i, setting in enumerate(measured.settings)}
        factors = _present(space, measured)
        found: dict[int, None] = {}
        idle = 0

        def objective(trial: optuna.Trial) -> float:
            nonlocal idle
            setting = tuple(trial.suggest_categorical(factor.name, factor.levels) for factor in factors)
            number = index.get(setting)
            idle = idle + 1 if number is None or number in found else 0
            if number is not None:
                found[number] = None
            if idle >= IDLE or (number is not None and measured.scores[number] == measured.best):
                study.stop()
            if number is None:
                raise optuna.TrialPruned("nobody measured this combination")
            return float(measured.scores[number])

        study = optuna.create_study(direction="maximize", sampler=sampler(name, factors, seed))
        study.optimize(objective, n_trials=100 * len(index))
        return completed(list(found), measured, seed)

    return order


def sampler(name: str, factors: Sequence[Factor], seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's sampler; populations and warm-up as small as spaces of a hundred settings need."""
    import optuna

    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "grid":
        return optuna.samplers.GridSampler({f.name: list(f.levels) for f in factors}, seed=seed)
    if name == "genetic":
        return optuna.samplers.NSGAIISampler(population_size=10, seed=seed)
    return optuna.samplers.TPESampler(n_startup_trials=5, seed=seed)


def plain_xgb(space: Space, measured: Measured, others: Sequence[Measured], seed: int) -> list[int]:
    """Boosted trees on this network's own trials: one-hot settings, no other network, the best guess next."""
    import xgboost

    random = np.random.default_rng(seed)
    x = space.one_hot(space.codes(measured.settings))
    tried = [int(i) for i in random.permutation(len(x))[:WARM_UP]]
    options = {"max_depth": 3, "eta": 0.3, "min_child_weight": 0.0, "nthread": 1, "tree_method": "exact"}
    while len(tried) < len(x) and measured.scores[tried].max() < measured.best:
        data = xgboost.DMatrix(x[tried], measured.scores[tried], nthread=1)
        trees = xgboost.train(options | {"seed": seed}, data, 30)
        guess = trees.predict(xgboost.DMatrix(x, nthread=1)) + 1e-6 * random.random(len(x))
        guess[tried] = -np.inf
        tried.append(int(guess.argmax()))
    return tried


def fixed_default(space: Space, measured: Measured, others: Sequence[Measured], seed: int) -> list[int]:
    """Asymmetric, KL, 1000 images; per channel, then per tensor; then at random."""
    wanted = [("8", "1000", granularity, "KL", "asymmetric") for granularity in ("channel", "tensor")]
    known = [setting for setting in wanted if setting in measured.settings]
    return completed([measured.settings.index(setting) for setting in known], measured, seed)


def mean_drop(space: Space, measured: Measured, others: Sequence[Measured], seed: int) -> list[int]:
    """By what settings lose on average on the other networks; mixed ones after their int8 counterparts."""
    codes = space.codes(measured.settings)
    total = np.zeros(len(codes))
    for other in others:
        weights = alike(codes, space.codes(other.settings), 1e-6)
        total += weights @ (other.best - other.scores) / weights.sum(axis=1)
    return [int(i) for i in np.lexsort((codes[:, 0], np.round(total, 9)))]


def completed(order: list[int], measured: Measured, seed: int) -> list[int]:
    """`order`, then the settings that it lacks, at random."""
    rest = sorted(set(range(len(measured.settings))) - set(order))
    return order + [int(i) for i in np.random.default_rng(seed).permutation(rest)]


def _present(space: Space, measured: Measured) -> list[Factor]:
    """The factors with those of their levels that somebody measured."""
    levels = [{setting[i] for setting in measured.settings} for i in range(len(space.factors))]
    return [
        Factor(factor.name, tuple(level for level in factor.levels if level in known))
        for factor, known in zip(space.factors, levels, strict=True)
    ]
