"""A search on a real network: a study of Optuna that can be stored, killed, resumed and shared by workers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from quantune.errors import QuantuneError
from quantune.search import baselines
from quantune.search.evaluate import Metrics
from quantune.search.objectives import Objective
from quantune.search.sampler import REASON, TransferSampler, setting_of
from quantune.search.space import Setting, Space
from quantune.search.trials import Measured

STRATEGIES = ("xgb", *baselines.SAMPLERS)
"""xgb is the tuner; the others are Optuna's."""
HEARTBEAT = 10
"""Seconds after which a worker says that it lives; silent for three times that, its trial is given up."""
ATTEMPTS, PAUSE = 4, 0.5
"""To open a storage, and seconds between them: workers that start together make its tables at once."""
PATIENCE = 2.0
"""Seconds to wait for an earlier trial's setting."""
REPEATED, METRICS = "repeated", "metrics"
"""What a trial remembers: that an earlier one gave its values; what it came to."""


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    name: of the study; workers that use the same take part in the same. others: a weight between the
    objective's directions → other networks' trials. evaluate: whatever it raises becomes the trial's reason.
    """

    name: str
    space: Space
    objective: Objective
    strategy: str
    traits: Mapping[str, float]
    others: Callable[[float], Sequence[Measured]]
    evaluate: Callable[[Mapping[str, str]], Metrics]
    seed: int = 0


def open_study(search: Search, storage: str | None) -> optuna.Study:
    """The study, as far as it has come. storage: a database's URL, or None for memory.

    Raises QuantuneError when the database cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    for attempt in range(ATTEMPTS):
        try:
            study = optuna.create_study(
                storage=None if storage is None else _storage(storage),
                study_name=search.name,
                directions=search.objective.directions,
                load_if_exists=True,
            )
            break
        except Exception as error:  # the storage's drivers have exceptions of their own
            if attempt + 1 == ATTEMPTS:
                raise QuantuneError(
                    f"cannot open the storage {storage} ({str(error).splitlines()[0]}); give a database's "
                    "URL, such as sqlite:///tune.db"
                ) from error
            time.sleep(PAUSE)
    study.sampler = _sampler(search, len(study.get_trials(deepcopy=False)))
    return study


def run(
    search: Search, study: optuna.Study, trials: int, on_trial: Callable[[optuna.Study], None] | None = None
) -> None:
    """Goes on until `trials` settings are finished or failed, earlier runs and other workers included.

    on_trial: is told of each, but not of those that only repeat an earlier one. Ends early when nothing new
    is asked for any more.
    """
    idle = 0

    def after(study: optuna.Study, trial: FrozenTrial) -> None:
        nonlocal idle
        idle = 0 if counts(trial) else idle + 1
        if on_trial is not None and counts(trial):
            on_trial(study)
        if len(finished(study)) >= trials or idle >= baselines.IDLE or exhausted(search.space, study):
            study.stop()

    if len(finished(study)) < trials and not exhausted(search.space, study):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.optimize(lambda trial: _attempt(search, trial), catch=(Exception,), callbacks=[after])


def _attempt(search: Search, trial: optuna.Trial) -> tuple[float, ...]:
    """One trial; a setting that is known already costs nothing, and one that fails says why."""
    setting = tuple(trial.suggest_categorical(f.name, f.levels) for f in search.space.factors)
    same = [other for other in _others(trial, search.space) if setting_of(other, search.space) == setting]
    for other in same:
        if counts(other):
            trial.set_user_attr(REPEATED, other.number)
            if other.state == TrialState.COMPLETE:
                return tuple(other.values)
            raise QuantuneError("this setting has failed before")
    if any(other.state == TrialState.RUNNING and other.number < trial.number for other in same):
        raise optuna.TrialPruned("another worker is at this setting")
    try:
        metrics = search.evaluate(search.space.describe(setting))
    except Exception as error:
        trial.set_user_attr(REASON, " ".join(f"{type(error).__name__}: {error}".split())[:500])
        raise
    trial.set_user_attr(METRICS, asdict(metrics))
    return search.objective.values(metrics)


def _others(trial: optuna.Trial, space: Space) -> list[FrozenTrial]:
    """All other trials, once the earlier ones have their settings: the later of two yields.

    Those of workers that were killed meanwhile never get theirs.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        others = [o for o in trial.study.get_trials(deepcopy=False) if o.number != trial.number]
        earlier = [o for o in others if o.state == TrialState.RUNNING and o.number < trial.number]
        if all(len(o.params) == len(space.factors) for o in earlier) or time.monotonic() > deadline:
            return others
        time.sleep(PATIENCE / 100)


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial tried something: neither a repetition nor given up by a worker that was killed."""
    tried = trial.state == TrialState.COMPLETE or REASON in trial.user_attrs
    return tried and REPEATED not in trial.user_attrs


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count, by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]


def metrics_of(trial: FrozenTrial) -> Metrics | None:
    """None for one that failed."""
    found = trial.user_attrs.get(METRICS)
    return None if found is None else Metrics(**found)


def exhausted(space: Space, study: optuna.Study) -> bool:
    tried: set[Setting] = {setting_of(trial, space) for trial in finished(study)}
    return len(tried) >= len(space.settings)


def _sampler(search: Search, known: int) -> optuna.samplers.BaseSampler:
    if search.strategy != "xgb":
        # a worker that joins a study must not repeat what others drew from the same seed
        return baselines.sampler(search.strategy, search.space.factors, search.seed + known)

    def score(trial: FrozenTrial, weight: float) -> float | None:
        metrics = metrics_of(trial)
        return None if metrics is None else search.objective.score(metrics, weight)

    return TransferSampler(search.space, search.traits, search.others, score, seed=search.seed)


def _storage(url: str) -> Any:
    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            url, engine_kwargs=arguments, heartbeat_interval=HEARTBEAT, grace_period=3 * HEARTBEAT
        )
