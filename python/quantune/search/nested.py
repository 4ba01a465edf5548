"""Nested validation: a network's own trials never shape the options that it is searched with.

For each network left out, every candidate of the menu is judged on the others alone, each of which is left
out in its turn: both are then missing from what the surrogate learns. The candidate that needs the fewest
trials wins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from quantune.search.features import Array, Prior, Scales
from quantune.search.space import Space
from quantune.search.surrogate import Options, Surrogate
from quantune.search.trials import Measured

CLOSE = 0.1
"""Points that count as nothing: about the noise of 50,000 test images."""

MENU: tuple[Options, ...] = tuple(
    Options(groups=groups, scales=Scales(tau=tau), residual=residual, boldness=boldness)
    for groups, tau, residual, boldness in itertools.product(
        (
            ("settings", "graph", "prior", "context"),
            ("prior", "context"),
            ("settings", "graph", "context"),
            ("settings", "graph"),
        ),
        (0.25, 0.5),
        (True, False),
        (0.0, 1.0),
    )
    if "prior" in groups or not residual
)
"""What nested validation chooses from; trees that start from the prior's mean also have its columns."""


def tuned(surrogate: Surrogate, measured: Measured) -> list[int]:
    """The settings' indices in the order that the surrogate tries them, up to the best."""
    space = surrogate.space
    prior = Prior(space, surrogate.others, space.codes(measured.settings), surrogate.options.scales)
    tried: list[int] = []
    while not tried or measured.scores[tried[-1]] < measured.best:
        scores = surrogate.score(prior, measured.traits, np.array(tried, np.int64), measured.scores[tried])
        scores[tried] = -np.inf
        tried.append(int(scores.argmax()))
    return tried


def trials_to(order: Sequence[int], measured: Measured, gap: float) -> int:
    """How many trials it takes until one is within `gap` points of the best."""
    good = measured.scores[list(order)] >= measured.best - gap - 1e-9
    return int(np.argmax(good)) + 1


def costs(space: Space, others: Sequence[Measured], judged: Sequence[Measured], seeds: int) -> Array:
    """Mean logarithm of the trials to the best and to nearly the best, f64 [candidates of MENU, judged].

    One surrogate, learnt from `others`, is judged on each of `judged`; candidates that differ in nothing
    but boldness share its fit.
    """
    found = np.zeros((len(MENU), len(judged)))
    for seed in range(seeds):
        fitted: dict[Options, Surrogate] = {}
        for number, options in enumerate(MENU):
            alike = replace(options, boldness=0.0)
            if alike not in fitted:
                fitted[alike] = Surrogate(space, others, alike, seed)
            surrogate = fitted[alike].bold(options.boldness)
            for column, measured in enumerate(judged):
                order = tuned(surrogate, measured)
                trials = [trials_to(order, measured, gap) for gap in (0.0, CLOSE)]
                found[number, column] += np.mean(np.log(trials)) / seeds
    return found


def folds(models: Sequence[str]) -> list[tuple[str, ...]]:
    """What is left out together: every two networks."""
    return list(itertools.combinations(models, 2))


def choose(models: Iterable[str], found: Mapping[tuple[str, ...], Array]) -> dict[str, Options]:
    """The candidate for each network left out, from the costs of every fold."""
    choices = {}
    for model in models:
        inner = [table[:, 1 - fold.index(model)] for fold, table in found.items() if model in fold]
        choices[model] = MENU[int(np.argmin(np.mean(inner, axis=0)))]
    return choices
