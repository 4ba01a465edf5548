"""The tuner and what it is compared with, on published trials: how soon does each find the best setting?"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

from quantune.progress import Progress, track
from quantune.search import baselines
from quantune.search.features import GROUPS, Array
from quantune.search.kept import facts, kept
from quantune.search.nested import MENU, choose, costs, folds, trials_to, tuned
from quantune.search.space import Space
from quantune.search.surrogate import Options, Surrogate
from quantune.search.trials import Measured

T = TypeVar("T")

OURS = "xgb"
GAPS = (0.0, 0.1, 0.5)
"""Points that a setting may lack to the best to count as found."""
INNER_SEEDS = 8
CHUNK = 10
"""Seeds that one process works off before it reports."""
CURVE = 40
"""Trials after which the best so far is told."""

BASELINES: dict[str, baselines.Order] = {
    "plain-xgb": baselines.plain_xgb,
    **{name: baselines.sampled(name) for name in baselines.SAMPLERS},
    "fixed-default": baselines.fixed_default,
    "mean-drop": baselines.mean_drop,
}
ABLATIONS: dict[str, tuple[str, ...]] = {
    "all groups": GROUPS,
    "without the trials so far": ("settings", "graph", "prior"),
    "without the prior": ("settings", "graph", "context"),
    "settings and graph alone": ("settings", "graph"),
    "settings alone": ("settings",),
}
"""Rows of the ablation → the groups of features that are left."""


@dataclass(frozen=True)
class Run:
    """One search: the trials to each of GAPS, and what the best of 1, 2, … CURVE trials lacks, in points."""

    trials: tuple[int, ...]
    gaps: list[float]


@dataclass(frozen=True)
class Comparison:
    """Networks that were measured before; each is searched while the others' trials are known."""

    space: Space
    measured: Mapping[str, Measured]
    progress: Progress

    def choices(self) -> dict[str, Options]:
        """The tuner's options for each network, by nested validation: its own trials have no part in them."""
        pairs = folds(list(self.measured))
        jobs = [(_costs, (self.space, self.measured, pair, INNER_SEEDS)) for pair in pairs]
        tables = _parallel(jobs, f"validating {len(MENU)} sets of options", self.progress)
        return choose(self.measured, dict(zip(pairs, tables, strict=True)))

    def strategies(self, choices: Mapping[str, Options], seeds: int) -> dict[str, Any]:
        """Every strategy on every network.

        Returns JSON: `geomean_speedup_over_expected_random` (of the mean trials to the exact best) and
        `models` of the tuner, the same for every strategy in `strategies`, and the `choices`.
        """
        chunks = [range(first, min(first + CHUNK, seeds)) for first in range(0, seeds, CHUNK)]
        work = [
            ((name, model), choices[model], chunk)
            for name, model, chunk in itertools.product([OURS, *BASELINES], self.measured, chunks)
        ]
        found: dict[str, dict[str, list[Run]]] = {}
        for ((name, model), _, _), runs in zip(work, self._run(work, "replaying"), strict=True):
            found.setdefault(name, {}).setdefault(model, []).extend(runs)
        blocks = {name: summary(self.measured, by_model) for name, by_model in found.items()}
        return {
            **blocks[OURS],
            "seeds": seeds,
            "strategies": blocks,
            "choices": {model: asdict(options) for model, options in choices.items()},
        }

    def ablation(self, choices: Mapping[str, Options], seeds: int) -> dict[str, Any]:
        """The tuner with groups of features left out, all else as chosen: {"seeds", "rows": {row: block}}."""
        rows = {"as chosen": None, **ABLATIONS}
        work = []
        for groups, model in itertools.product(rows.values(), self.measured):
            chosen = choices[model]
            if groups is not None:
                chosen = replace(chosen, groups=groups, residual=chosen.residual and "prior" in groups)
            work.append(((OURS, model), chosen, range(seeds)))
        found = iter([*self._run(work, "ablation")])
        blocks = {row: summary(self.measured, {m: next(found) for m in self.measured}) for row in rows}
        return {"seeds": seeds, "rows": blocks}

    def _run(self, work: Sequence[tuple[tuple[str, str], Options, range]], step: str) -> Iterator[list[Run]]:
        """The runs of each ((strategy, model), options, seeds), in this order."""
        jobs = [(_runs, (self.space, self.measured, *what)) for what in work]
        return _parallel(jobs, step, self.progress)


def summary(measured: Mapping[str, Measured], runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """JSON of one strategy, from its runs on every network, one a seed."""
    models: dict[str, Any] = {}
    speedups = []
    for name, own in runs.items():
        table = np.array([run.trials for run in own])
        mean = table.mean(axis=0)
        expected = expected_random(measured[name])
        speedups.append(expected / mean[0])
        models[name] = {"settings": len(measured[name].settings), "expected_random_trials_to_best": expected}
        for column, gap in enumerate(GAPS):
            key = f"trials_to_within_{gap:g}" if gap else "trials_to_best"
            low, middle, high = np.percentile(table[:, column], (10, 50, 90))
            models[name] |= {
                f"median_{key}": float(middle),
                f"mean_{key}": round(float(mean[column]), 2),
                f"p10_{key}": float(low),
                f"p90_{key}": float(high),
            }
    gaps = np.mean([run.gaps for own in runs.values() for run in own], axis=0)
    medians = [m["expected_random_trials_to_best"] / m["median_trials_to_best"] for m in models.values()]
    return {
        "geomean_speedup_over_expected_random": round(_geomean(speedups), 3),
        "geomean_speedup_of_medians": round(_geomean(medians), 3),
        "models_within_0.1_in_6_trials": sum(m["median_trials_to_within_0.1"] <= 6 for m in models.values()),
        "mean_gap_after_trials": np.round(gaps, 3).tolist(),
        "models": models,
    }


def expected_random(measured: Measured) -> float:
    """Trials that drawing without repetition needs on average to one of the best: (n + 1) / (ties + 1)."""
    ties = int((measured.scores == measured.best).sum())
    return (len(measured.scores) + 1) / (ties + 1)


def _costs(space: Space, measured: Mapping[str, Measured], pair: tuple[str, ...], seeds: int) -> Array:
    """`costs` of a fold; kept. Like `_runs`, at module level so that another process can do it."""
    rest = [other for name, other in measured.items() if name not in pair]
    judged = [measured[name] for name in pair]
    made_from = (MENU, seeds, [facts(m) for m in rest], [facts(m) for m in judged])
    return np.array(kept("fold", made_from, lambda: costs(space, rest, judged, seeds).tolist()))


def _runs(
    space: Space,
    measured: Mapping[str, Measured],
    who: tuple[str, str],
    options: Options,
    seeds: Sequence[int],
) -> list[Run]:
    """One run a seed of (strategy, model); kept."""
    name, model = who
    others = [other for key, other in measured.items() if key != model]
    own = measured[model]

    def make() -> list[Any]:
        found = []
        for seed in seeds:
            if name == OURS:
                order = tuned(Surrogate(space, others, options, seed), own)
            else:
                order = BASELINES[name](space, own, others, seed)
            found.append(asdict(run_of(order, own)))
        return found

    learns = (facts(own), [facts(other) for other in others])
    made_from = (name, options if name == OURS else None, list(seeds), GAPS, CURVE, learns)
    return [Run(tuple(raw["trials"]), raw["gaps"]) for raw in kept("runs", made_from, make)]


def run_of(order: Sequence[int], measured: Measured) -> Run:
    """What came of trying the settings in this order, the best among them."""
    best_so_far = np.maximum.accumulate(measured.scores[list(order)])[:CURVE]
    gaps = np.pad(measured.best - best_so_far, (0, CURVE - len(best_so_far)))
    return Run(tuple(trials_to(order, measured, gap) for gap in GAPS), gaps.tolist())


def _geomean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _parallel(
    jobs: Sequence[tuple[Callable[..., T], tuple[Any, ...]]], step: str, progress: Progress
) -> Iterator[T]:
    """The results in the jobs' order, worked off by as many processes as there are CPUs to use."""
    workers = min(len(os.sched_getaffinity(0)), len(jobs))
    pool = concurrent.futures.ProcessPoolExecutor(workers)
    try:
        futures = [pool.submit(function, *arguments) for function, arguments in jobs]
        for future in track(futures, step, len(futures), progress):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
