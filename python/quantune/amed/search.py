"""The search: the chain moves, the network trains a little, again; then it trains on in the best state.

What comes out is the network as it was when pictures held out rewarded it most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantune.amed.chain import Proposal, State, step
from quantune.amed.checkpoint import load, save
from quantune.amed.credit import Credit, Quality
from quantune.amed.data import Pictures
from quantune.amed.descent import Best, optimizer_of, train
from quantune.amed.network import QuantizedNetwork
from quantune.amed.reward import Judge, Score
from quantune.amed.settings import TrainingSettings
from quantune.progress import Progress, stage

FINALISTS = 4
"""States of highest quality that are judged once more, by the same weights, before the last phase."""


@dataclass
class Search:
    """One training of bits, as far as it has come.

    Attributes:
        state: where the chain is. taken: how many steps are done; each trains `settings.interval` batches.
        best: of all that was judged between trainings. trajectory: one record a step, JSON-able.
    """

    network: QuantizedNetwork
    judge: Judge
    training: Pictures
    settings: TrainingSettings
    state: State
    taken: int = 0
    best: Best | None = None
    credit: Credit = field(init=False)
    quality: Quality = field(default_factory=Quality)
    trajectory: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credit = Credit.empty(len(self.state))
        self.optimizer = optimizer_of(self.network, self.settings)

    @property
    def steps(self) -> tuple[int, int]:
        """(of the search, in all)."""
        return self.settings.steps(len(self.training))

    def judged(self) -> Score:
        """Of the present state by today's weights; remembered where it is the best so far."""
        score = self.judge.score(self.state)
        if self.best is None or score.reward > self.best.reward:
            self.best = Best.of(self.network, self.state, score.reward)
        return score


def run(search: Search, checkpoint: Path, key: str, progress: Progress) -> None:
    """Takes the steps that are left, from the checkpoint if it is of the same `key`, saving after every one;
    then the network is the best that was seen.

    A run that was killed comes to the same result as one that was not.
    """
    if load(search, checkpoint, key) and search.taken:
        progress.note(f"going on after step {search.taken} of {search.steps[1]}")
    searching, total = search.steps
    with stage(progress, "training bits", total - search.taken):
        while search.taken < total:
            score = search.judged()
            record = _searched(search, score) if search.taken < searching else _record(search, score, "final")
            record |= {"training_loss": _trained(search)}
            search.trajectory.append(_rounded({"step": search.taken} | record))
            search.taken += 1
            if search.taken == searching:
                search.state = _finalist(search)
            save(search, checkpoint, key)
            progress.advance()
    search.judged()
    assert search.best is not None
    search.state = search.best.state
    search.network.load_state_dict(search.best.weights)
    search.network.take(search.state)


def _searched(search: Search, score: Score) -> dict[str, Any]:
    """A few steps of the chain, all judged by the same weights: for those, the chain is exact."""
    settings, judge = search.settings, search.judge
    generator = np.random.default_rng((settings.seed, 1, search.taken))
    seen: dict[State, Score] = {search.state: score}

    def reward_of(state: State) -> float:
        if state not in seen:
            seen[state] = judge.score(state)
        return seen[state].reward

    accepted = 0
    temperature = settings.temperature_at(search.taken, search.steps[0])
    for _ in range(settings.proposals):
        reward = seen[search.state].reward
        proposal = Proposal(settings.menu, search.credit.relative)
        found = step(search.state, reward, reward_of, proposal, temperature, generator)
        search.credit.learn(search.state, reward, found)
        search.state = found.state
        accepted += found.accepted
    for state, found_score in seen.items():
        if math.isfinite(found_score.reward):
            search.quality.learn(state, found_score.reward)
    return _record(search, seen[search.state], "search") | {
        "proposals": len(seen) - 1,
        "accepted": accepted,
        "temperature": temperature,
    }


def _record(search: Search, score: Score, phase: str) -> dict[str, Any]:
    costs = search.judge.costs
    return {
        "phase": phase,
        "bits": list(search.state),
        "average_bits": costs.average_bits(search.state),
        "loss": score.loss,
        "accuracy": score.accuracy,
        "reward": score.reward,
        "milliseconds": score.milliseconds,
    }


def _finalist(search: Search) -> State:
    """Of the states of highest quality and the present one, what today's weights make the best of."""
    judge = search.judge
    candidates = dict.fromkeys([search.state, *search.quality.best(FINALISTS)])
    scores = {state: judge.score(state).reward for state in candidates}
    return max(scores, key=lambda state: scores[state])


def _trained(search: Search) -> float:
    """The mean loss of `interval` batches in the present state."""
    search.network.settle(search.state)
    lesson = search.judge.examination.lesson
    return train(search.network, search.optimizer, lesson, search.training, search.settings, search.taken)


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    """Figures as people read them; the checkpoint keeps what counts exactly."""
    return {k: round(v, 6) if isinstance(v, float) and math.isfinite(v) else v for k, v in record.items()}
