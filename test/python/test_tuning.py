"""Studies that are killed, resumed, shared and fail in part; what is remembered of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from quantune.cli.main import run as quantune
from quantune.errors import QuantuneError
from quantune.search import database, nested
from quantune.search.evaluate import Metrics
from quantune.search.objectives import Objective
from quantune.search.sampler import OPTIONS, REASON
from quantune.search.space import PAPER, Factor, Space
from quantune.search.surrogate import Surrogate
from quantune.search.tuning import STRATEGIES, finished, metrics_of, open_study, run
from trials import made
from tune_worker import TOP, metrics_at, search_of

WORKER = Path(__file__).with_name("tune_worker.py")
BEST = TOP  # nothing is lost by int8, 1000 images, channel, KL, asymmetric


def settings(study: optuna.Study) -> list[tuple[str, ...]]:
    return [tuple(map(str, trial.params.values())) for trial in finished(study)]


def worker(url: str, log: Path, trials: int, seconds: float, strategy: str) -> subprocess.Popen[bytes]:
    arguments = [url, strategy, str(trials), str(seconds), str(log)]
    path = os.pathsep.join([str(WORKER.parent), *sys.path])
    return subprocess.Popen([sys.executable, str(WORKER), *arguments], env=os.environ | {"PYTHONPATH": path})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_tries_what_is_new(strategy: str) -> None:
    search = search_of(strategy)
    study = open_study(search, None)
    run(search, study, 4)
    found = settings(study)
    assert len(found) == len(set(found)) == 4


@pytest.mark.parametrize("strategy", ["xgb", "genetic"])
def test_a_study_goes_on_where_it_stopped(strategy: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tune.db'}"
    for trials in (3, 6):
        search = search_of(strategy)
        run(search, open_study(search, url), trials)
        found = settings(open_study(search, url))
        assert len(found) == len(set(found)) == trials


def test_the_tuner_finds_the_best_at_once() -> None:
    search = search_of("xgb")
    study = open_study(search, None)
    run(search, study, 6)
    assert study.best_value == pytest.approx(BEST, abs=0.5)


def test_the_sampler_asks_for_what_the_replay_would() -> None:
    """What is searched on a real network is what the comparison on measured trials is about."""
    own = replace(made(0), settings=PAPER.settings)
    own = replace(own, scores=np.array([metrics_at(PAPER.describe(s)).quality for s in PAPER.settings]))
    surrogate = Surrogate(PAPER, [made(1), made(2), made(3)], OPTIONS, seed=0)
    expected = [own.settings[index] for index in nested.tuned(surrogate, own)][:5]
    search = search_of("xgb")
    study = open_study(search, None)
    run(search, study, len(expected))
    assert settings(study) == expected


def test_failures_are_recorded_and_end_nothing() -> None:
    def evaluate(setting: Mapping[str, str]) -> Metrics:
        if setting["clipping"] == "KL":
            raise MemoryError("iree-compile\nneeded too much")
        return metrics_at(setting)

    search = search_of("xgb", evaluate)
    study = open_study(search, None)
    run(search, study, 12)
    trials = finished(study)
    failed = [trial for trial in trials if REASON in trial.user_attrs]
    assert len(trials) == 12 and 0 < len(failed) < 12
    assert failed[0].user_attrs[REASON] == "MemoryError: iree-compile needed too much"
    assert all(metrics_of(trial) is not None for trial in trials if trial not in failed)


def test_two_processes_share_a_study(tmp_path: Path) -> None:
    url, log = f"sqlite:///{tmp_path / 'tune.db'}", tmp_path / "log"
    workers = [worker(url, log, 8, 0.3, "xgb") for _ in range(2)]
    assert [process.wait(120) for process in workers] == [0, 0]
    tried = log.read_text().splitlines()
    assert len(tried) == len(set(tried))  # nobody repeats what the other does
    assert 8 <= len(finished(open_study(search_of("xgb"), url))) <= 9


def test_a_setting_that_an_earlier_trial_is_about_to_get_is_left_to_it() -> None:
    seen: list[tuple[str, ...]] = []

    def evaluate(setting: Mapping[str, str]) -> Metrics:
        seen.append(tuple(setting.values()))
        return metrics_at(setting)

    search = search_of("xgb", evaluate)
    study = open_study(search, None)
    early = study.ask()  # of another worker, which is slow to write its setting down
    write = threading.Timer(
        0.3, lambda: [early.suggest_categorical(f.name, f.levels) for f in search.space.factors]
    )
    write.start()
    run(search, study, 1)
    write.join()
    assert len(seen) == 1 and tuple(early.params.values()) not in seen


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_worker_that_is_stopped_loses_one_trial_at_most(tmp_path: Path, how: signal.Signals) -> None:
    url, log = f"sqlite:///{tmp_path / 'tune.db'}", tmp_path / "log"
    process = worker(url, log, 50, 0.2, "random")
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(how)
    process.wait(60)
    tried = len(log.read_text().splitlines())
    search = search_of("random")
    study = open_study(search, url)
    known = finished(study)
    assert tried - 1 <= len(known) <= tried
    running = [trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.RUNNING]
    assert how == signal.SIGKILL or not running  # its setting is open again at once
    run(search, study, tried + 2)
    assert len(finished(study)) == tried + 2
    assert finished(study)[: len(known)] == known


def test_latency_is_bounded_by_accuracy_and_a_front_is_searched_from_all_sides() -> None:
    quick = Metrics(100, 69.5, 70.0, 98.0, 1.0, 4.0, 1, 0.0)
    poor = replace(quick, top1=60.0, latency_ms=0.5)
    objective = Objective("latency", max_drop=1.0)
    assert objective.score(quick, 0.5) > objective.score(poor, 0.5)
    assert Objective("latency", max_drop=20.0).score(poor, 0.5) > objective.score(quick, 0.5)
    front = Objective("pareto")
    assert front.values(quick) == (69.5, 25.0)
    assert front.score(quick, 1.0) > front.score(poor, 1.0)
    assert front.score(quick, 0.0) < front.score(poor, 0.0)
    search = search_of("xgb", objective=front)
    study = open_study(search, None)
    run(search, study, 6)
    assert {len(trial.values) for trial in finished(study)} == {2}
    with pytest.raises(QuantuneError, match="timed"):
        front.values(replace(quick, latency_ms=None))


def record(fingerprint: str, count: int) -> database.Record:
    trials = [(PAPER.describe(s), metrics_at(PAPER.describe(s))) for s in PAPER.settings[:count]]
    return database.Record("made-up", fingerprint, dict(made(0).traits), {"data": "none"}, trials)


def test_the_database_grows_with_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTUNE_CACHE", str(tmp_path))
    shipped = tmp_path / "shipped.json"
    database.write(shipped, [record("a", 5), record("b", 5)])
    database.remember(record("a", 7))
    database.remember(replace(record("a", 9), trials=record("a", 9).trials[6:]))
    found = {r.fingerprint: r for r in database.known(shipped)}
    assert len(found["a"].trials) == 9 and len(found["b"].trials) == 5
    measured = found["a"].measured(PAPER, Objective("accuracy"), 0.5)
    assert measured is not None and len(measured.settings) == 9
    wider = Space((*PAPER.factors, Factor("bias_correction", ("off", "on"))), ())
    measured = found["a"].measured(wider, Objective("accuracy"), 0.5)
    assert measured is not None and {setting[-1] for setting in measured.settings} == {"off"}
    assert record("c", 3).measured(PAPER, Objective("accuracy"), 0.5) is None  # too few
    shipped.write_text("[]")
    with pytest.raises(QuantuneError, match="no database"):
        database.known(shipped)


def test_what_ships_can_be_read() -> None:
    if database.SHIPPED.exists():
        assert all(len(record.trials) >= database.FEWEST for record in database.read(database.SHIPPED))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the MODEL"),
        (["zoo:resnet18@32"], "name the MODEL"),
        (["zoo:resnet18@32", "--replay", "trials.csv"], "leave out MODEL"),
        (["zoo:resnet18@32", "--data", "random:2", "--seeds", "3"], "leave out --seeds"),
        (["zoo:resnet18@32", "--data", "random:2", "--strategy", "gentic"], "did you mean genetic"),
        (["zoo:resnet18@32", "--data", "random:2", "--objective", "speed"], "unknown objective"),
        (["zoo:resnet18@32", "--data", "random:2", "--max-drop", "2"], "leave out --max-drop"),
        (["zoo:resnet18@32", "--data", "random:2", "--trials", "0"], "--trials must be at least 1"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantune(["tune", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_storage_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(QuantuneError, match="cannot open the storage"):
        open_study(search_of("random"), "sqlite:////nowhere/tune.db")
