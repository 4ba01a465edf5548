"""A tuning session: the network, its data, its study, and what of it is remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.job.data import calibration_for, pictures_for
from quantune.job.imports import import_model
from quantune.plan.schema import Plan
from quantune.progress import Progress
from quantune.search import database
from quantune.search.evaluate import Evaluator, Metrics
from quantune.search.objectives import Goal, Objective
from quantune.search.plans import Planner, own_space
from quantune.search.trials import Measured
from quantune.search.tuning import Search, finished, metrics_of, open_study, run
from quantune.targets import get

FEWEST = 2
"""Other networks: the surrogate learns on one what the rest says about it."""


@dataclass(frozen=True)
class Asked:
    """What the user asked for, as on the command line of `quantune tune`.

    all_images: fewer pictures than `images` are an error.
    """

    model: str
    data: str
    calibration: str
    folder: Path
    goal: Goal = "accuracy"
    max_drop: float = 1.0
    strategy: str = "xgb"
    trials: int = 20
    storage: str | None = None
    images: int = 1000
    all_images: bool = False
    seed: int = 0
    weights: Path | None = None
    input_shape: tuple[int, int, int] | None = None
    target: str = "host"


class Session:
    """Opens everything that trials need. Raises QuantuneError."""

    def __init__(self, asked: Asked, progress: Progress) -> None:
        self.asked, self.objective = asked, Objective(asked.goal, asked.max_drop)
        target = get(asked.target)
        if not target.runs_here:
            raise QuantuneError(f"{target.name} modules do not run on this machine; tune with --target host")
        cache = asked.folder / "cache"
        self.model = import_model(asked.model, asked.weights, asked.input_shape, cache, progress)
        self.data = pictures_for(self.model, asked.data, asked.images, require=asked.all_images)
        self.space = own_space()
        self.planner = Planner(self.model, target, asked.folder / "tune", self._calibration, progress)
        reference = self.planner.job(self.space.describe(self.space.settings[0]))
        self.evaluator = Evaluator(reference, self.data, self.objective.timed)
        self.traits = database.traits_of(self.model.graph)
        self._known = database.known()
        if asked.strategy == "xgb" and len(self.others(0.5)) < FEWEST:
            raise QuantuneError(
                f"strategy xgb learns from other networks' trials for {asked.goal}, and knows too few; tune "
                f"{FEWEST} other networks with --strategy random first, or this one with --strategy tpe"
            )
        self.search = Search(
            *(self._name(), self.space, self.objective, asked.strategy, self.traits, self.others),
            *(self.evaluate, asked.seed),
        )
        self.storage = asked.storage or f"sqlite:///{asked.folder / 'tune' / 'trials.db'}"
        (asked.folder / "tune").mkdir(parents=True, exist_ok=True)
        self.study = open_study(self.search, self.storage)

    def evaluate(self, setting: Mapping[str, str]) -> Metrics:
        """One trial."""
        return self.evaluator(*self.planner(setting))

    def plan(self, setting: Mapping[str, str]) -> Plan:
        return self.planner(setting)[1]

    def others(self, weight: float) -> Sequence[Measured]:
        """The trials of all other networks that the database knows."""
        own = self.model.graph.fingerprint
        rest = [record for record in self._known if record.fingerprint != own]
        measured = [record.measured(self.space, self.objective, weight) for record in rest]
        return [found for found in measured if found is not None]

    def run(self, on_trial: Callable[[], None]) -> None:
        """Goes on until the study has its trials; every one is remembered before `on_trial` hears of it."""

        def after(study: optuna.Study) -> None:
            self.remember()
            on_trial()

        run(self.search, self.study, self.asked.trials, after)

    def remember(self) -> None:
        """Puts the study's trials into the user's database."""
        trials = [
            (dict(trial.params), metrics)
            for trial in finished(self.study)
            if (metrics := metrics_of(trial)) is not None
        ]
        if trials:
            conditions = {"target": self.asked.target, "data": self.data.description}
            record = database.Record(
                *(self.model.name, self.model.graph.fingerprint, self.traits, conditions, trials)
            )
            database.remember(record)

    def _name(self) -> str:
        """Of the study: sessions that may share trials, and no others, have the same."""
        facts = (
            *(self.model.graph.fingerprint, self.data.fingerprint, self.asked.calibration, self.asked.target),
            *(self.objective, self.space, self.model.preprocessing),
        )
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
        return f"{self.model.name} {self.objective.goal} {digest} {self.asked.strategy}"

    def _calibration(self, images: int) -> Dataset:
        return calibration_for(self.model, self.asked.calibration, images)


def curves(session: Session) -> dict[str, list[float]]:
    """Strategy → what its best so far lacks to the best of all strategies, after every trial, in points."""
    prefix = session.search.name.rpartition(" ")[0] + " "
    storage = session.study._storage
    found: dict[str, list[float]] = {}
    for name in optuna.get_all_study_names(storage):
        if name.startswith(prefix):
            best, curve = -float("inf"), []
            for trial in finished(optuna.load_study(study_name=name, storage=storage)):
                metrics = metrics_of(trial)
                best = best if metrics is None else max(best, session.objective.score(metrics, 0.5))
                curve.append(best)
            found[name.removeprefix(prefix)] = curve
    top = max((curve[-1] for curve in found.values() if curve), default=0.0)
    return {name: [top - value for value in curve] for name, curve in found.items() if curve}
