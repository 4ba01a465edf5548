"""The tuner on measured trials: what it learns from, what it is compared with, and that nothing leaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import search_results
from quantune.cli.main import run
from quantune.errors import QuantuneError
from quantune.progress import Silent
from quantune.search import baselines, nested, replay
from quantune.search.features import Prior, Scales, context_features, rows
from quantune.search.space import PAPER
from quantune.search.surrogate import Options, Surrogate
from quantune.search.trials import Measured, read_published
from trials import made, made_all, write_published

QUICK = Options(rounds=5, members=1)
MENU = (QUICK, replace(QUICK, boldness=1.0), replace(QUICK, groups=("settings",), residual=False))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A menu that is validated in seconds; the processes that do it are forked and see it too."""
    monkeypatch.setattr(nested, "MENU", MENU)
    monkeypatch.setattr(replay, "MENU", MENU)
    monkeypatch.setattr(replay, "INNER_SEEDS", 1)


def worse_elsewhere(m: Measured) -> Measured:
    """The same network with its scores upside down."""
    return replace(m, scores=-m.scores)


def test_published_trials_are_read(tmp_path: Path) -> None:
    measured = write_published(tmp_path / "trials.csv")
    assert [*measured] == ["net0", "net1", "net2", "net3"]
    assert measured["net1"].settings == made(1).settings
    assert np.array_equal(measured["net1"].scores, made(1).scores)
    assert measured["net2"].traits["conv"] == 12.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("top1", "accuracy", "top1"),
        ("symmetric_power", "cubic", "cubic"),
        (",KL,", ",max,", "twice"),
        ("net0,8,1,tensor,max,asymmetric,", "net0,8,1,tensor,max,asymmetric,nan", "not finite|could not"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "trials.csv"
    write_published(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(QuantuneError, match=message):
        read_published(path)


def test_three_networks_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(QuantuneError, match="at least 4"):
        write_published(tmp_path / "trials.csv", count=3)


def test_a_setting_that_nobody_tried_is_told_by_its_neighbours() -> None:
    mixed = ("mixed", "1000", "channel", "KL", "asymmetric")
    others = [made(0), made(2)]  # neither has mixed settings
    codes = PAPER.codes([mixed, ("8", *mixed[1:]), ("8", "1", "tensor", "max", "symmetric_power")])
    prior = Prior(PAPER, others, codes, Scales())
    assert prior.mean[0] == pytest.approx(prior.mean[1], abs=0.1)
    assert prior.mean[0] > prior.mean[2] + 0.3


def test_trials_so_far_correct_the_prior() -> None:
    """Where this network does worse than others did, its near neighbours are thought worse of too."""
    own = made(0)
    codes = PAPER.codes(own.settings)
    prior = Prior(PAPER, [made(1), made(2), made(3)], codes, Scales())
    best, worst = int(prior.mean.argmax()), int(prior.mean.argmin())
    features = context_features(prior, np.array([worst, best]), np.array([70.0, 60.0]))
    expected, deviation = features[:, 2], features[:, 3]
    assert expected[best] > prior.log_gap.mean(0)[best] + 1
    near = int(np.argmax((codes != codes[best]).sum(1) == 1))
    assert expected[near] > prior.log_gap.mean(0)[near]
    assert deviation[best] < deviation[near] < 1


def test_features_of_every_group_are_finite() -> None:
    own = made(1)
    prior = Prior(PAPER, [made(2), made(3)], PAPER.codes(own.settings), Scales())
    for tried in ([], [0], [3, 7, 1]):
        indices = np.array(tried, np.int64)
        found = rows(PAPER, prior, own.traits, indices, own.scores[indices])
        assert found.shape[0] == len(own.settings) and np.isfinite(found).all()


def test_transfer_needs_fewer_trials_than_random_search() -> None:
    measured = made_all(4)
    for model, own in measured.items():
        others = [m for name, m in measured.items() if name != model]
        order = nested.tuned(Surrogate(PAPER, others, Options(members=2), seed=0), own)
        assert len(set(order)) == len(order) and own.scores[order[-1]] == own.best
        assert nested.trials_to(order, own, 0.5) < replay.expected_random(own) / 2


@pytest.mark.parametrize("name", [*replay.BASELINES])
def test_every_strategy_reaches_the_best_without_repeating_itself(name: str) -> None:
    own, others = made(1), [made(2), made(3)]
    order = replay.BASELINES[name](PAPER, own, others, 3)
    assert len(set(order)) == len(order)
    assert own.scores[order].max() == own.best


def test_random_search_takes_as_long_as_theory_says() -> None:
    own = made(0)
    order = baselines.sampled("random")
    trials = [nested.trials_to(order(PAPER, own, [], seed), own, 0.0) for seed in range(60)]
    assert np.mean(trials) == pytest.approx(replay.expected_random(own), rel=0.25)


def test_ties_count_as_best() -> None:
    own = replace(made(0), scores=np.array([1.0, 3.0, 3.0, 2.95] + [0.0] * 44))
    assert replay.expected_random(own) == pytest.approx(49 / 3)
    assert nested.trials_to([0, 3, 2], own, 0.0) == 3
    assert nested.trials_to([0, 3, 2], own, 0.1) == 2


def test_a_networks_own_trials_never_shape_its_options(quick: None) -> None:
    measured = made_all(4)
    pairs = nested.folds([*measured])

    def tables(found: dict[str, Measured]) -> dict[tuple[str, ...], np.ndarray]:
        rest = {pair: [m for name, m in found.items() if name not in pair] for pair in pairs}
        return {pair: nested.costs(PAPER, rest[pair], [found[x] for x in pair], 1) for pair in pairs}

    before = tables(measured)
    after = tables(measured | {"net0": worse_elsewhere(measured["net0"])})
    for pair in pairs:
        if "net0" in pair:  # what net0's options are chosen by: the other network of each of its pairs
            other = 1 - pair.index("net0")
            assert np.array_equal(before[pair][:, other], after[pair][:, other])
    assert nested.choose(["net0"], before) == nested.choose(["net0"], after)
    assert not all(np.array_equal(before[pair], after[pair]) for pair in pairs)


def test_the_replay_says_what_scripts_rely_on(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTUNE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "trials.csv"
    measured = write_published(path)
    assert run(["tune", "--replay", str(path), "--seeds", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ours = found["strategies"]["xgb"]
    assert found["models"] == ours["models"] and [*found["models"]] == [*measured]
    assert found["geomean_speedup_over_expected_random"] == ours["geomean_speedup_over_expected_random"]
    for block in found["strategies"].values():
        for model in block["models"].values():
            goals = [model[f"median_trials_to_{goal}"] for goal in ("best", "within_0.1", "within_0.5")]
            assert goals == sorted(goals, reverse=True) and goals[-1] >= 1
    kept = sorted((tmp_path / "cache" / "search").iterdir())
    assert {path.name.partition("-")[0] for path in kept} == {"fold", "runs"}
    assert run(["tune", "--replay", str(path), "--seeds", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert sorted((tmp_path / "cache" / "search").iterdir()) == kept  # nothing was done again
    comparison = replay.Comparison(PAPER, measured, Silent())
    found["ablation"] = comparison.ablation(dict.fromkeys(measured, QUICK), 1)
    written = search_results.write(found, tmp_path / "results")
    page = written[1].read_text()
    assert f"{ours['geomean_speedup_over_expected_random']:.2f}x" in page and "settings alone" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "missing.csv"], "cannot read missing.csv"),
        (["--replay", "missing.csv", "--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tune", *arguments]) == 1
    assert message in capsys.readouterr().err
