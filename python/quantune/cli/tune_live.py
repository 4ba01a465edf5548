"""`quantune tune MODEL`: the trials as they come, then what came of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from quantune.cli.output import Output
from quantune.progress import Progress, Silent
from quantune.report import text

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from rich.table import Table

    from quantune.search.session import Asked, Session

SHOWN = 25
"""The latest trials that the live table shows."""


def tune(asked: Asked, output: Output) -> None:
    """Raises QuantuneError."""
    from quantune.search.session import Session

    live = sys.stdout.isatty() and not output.as_json
    progress: Progress = Silent() if live else output.progress
    session = Session(asked, output.progress)
    session.planner = session.planner.quietly(progress)
    if not session.model.trained:
        output.warn(f"the weights of {asked.model} are random, not trained: accuracy says nothing")
    if session.data.is_random:
        output.warn(f"{asked.data} is noise: accuracy on it says nothing about real images")
    with _shown(session, output, live) as on_trial:
        session.run(on_trial)
    _finish(session, output)


@contextlib.contextmanager
def _shown(session: Session, output: Output, live: bool) -> Iterator[Any]:
    """What hears of every trial: a table that is drawn anew, or a line a trial."""
    if not live:
        yield lambda: output.show(_line(session))
        return
    from rich.live import Live

    with Live(_table(session), console=output.console, auto_refresh=False) as view:
        yield lambda: view.update(_table(session), refresh=True)


def _line(session: Session) -> str:
    from quantune.search.tuning import finished

    trials = finished(session.study)
    return " | ".join(_cells(trials[-1], _best(session, trials)))


def _table(session: Session) -> Table:
    from rich.table import Table

    from quantune.search.tuning import finished

    trials = finished(session.study)
    asked = session.asked
    title = f"{session.model.name}, {asked.goal}, {asked.strategy}: {len(trials)} of {asked.trials} trials"
    table = Table("trial", *session.space.names, "quality", "latency", "", title=title, title_justify="left")
    best = _best(session, trials)
    for trial in trials[-SHOWN:]:
        table.add_row(*_cells(trial, best))
    return table


def _cells(trial: FrozenTrial, best: list[int]) -> list[str]:
    from quantune.search.sampler import REASON
    from quantune.search.tuning import metrics_of

    metrics = metrics_of(trial)
    settings = [str(value) for value in trial.params.values()]
    if metrics is None:
        return [str(trial.number), *settings, text.NONE, text.NONE, f"failed: {trial.user_attrs[REASON]}"]
    latency = text.NONE if metrics.latency_ms is None else f"{metrics.latency_ms:.3g} ms"
    mark = "best" if trial.number in best else ""
    return [str(trial.number), *settings, f"{metrics.quality:.2f} %", latency, mark]


def _best(session: Session, trials: list[FrozenTrial]) -> list[int]:
    """The numbers of the best trial, or of those on the front."""
    from quantune.search.sampler import REASON

    good = [trial for trial in trials if REASON not in trial.user_attrs]
    if session.asked.goal == "pareto":
        return [
            trial.number
            for trial in good
            if not any(_dominates(other.values, trial.values) for other in good)
        ]
    return [max(good, key=lambda trial: trial.values[0]).number] if good else []


def _dominates(a: list[float], b: list[float]) -> bool:
    """Quality is to be high, latency low."""
    return a[0] >= b[0] and a[1] <= b[1] and a != b


def _finish(session: Session, output: Output) -> None:
    """The best plan and the plot as files; the summary."""
    from quantune.files import write_atomic
    from quantune.report.search_chart import best_so_far
    from quantune.search.session import curves
    from quantune.search.tuning import finished

    trials = finished(session.study)
    best = _best(session, trials)
    by_number = {trial.number: trial for trial in trials}
    folder = session.asked.folder / "tune"
    plot, plan = folder / "best-so-far.svg", folder / "best-plan.json"
    drawn = best_so_far(curves(session), f"{session.model.name}, {session.asked.goal}: points to the best")
    write_atomic(plot, drawn)
    files = [str(plot)]
    if best:
        # of a front, the most accurate
        top = max(best, key=lambda number: by_number[number].values[0])
        session.plan(by_number[top].params).save(plan)
        files.append(str(plan))
    output.show(_table(session), f"Written: {', '.join(files)}")
    if best:
        output.show(f"Compile it: quantune compile {session.asked.model} --plan {plan} …")
    output.result(
        {
            "model": session.model.name,
            "objective": session.asked.goal,
            "strategy": session.asked.strategy,
            "study": session.search.name,
            "storage": session.storage,
            "data": session.data.description,
            "files": files,
            "best": [_json(by_number[number]) for number in best],
            "trials": [_json(trial) for trial in trials],
        }
    )


def _json(trial: FrozenTrial) -> dict[str, Any]:
    from quantune.search.sampler import REASON
    from quantune.search.tuning import metrics_of

    metrics = metrics_of(trial)
    return {
        "number": trial.number,
        "setting": dict(trial.params),
        "metrics": None if metrics is None else asdict(metrics),
        "reason": trial.user_attrs.get(REASON),
    }
