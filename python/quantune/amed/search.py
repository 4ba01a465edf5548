"""The search: the chain moves, the network trains a little, again; then it trains on in the best state."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from quantune.amed.chain import Proposal, State, step
from quantune.amed.checkpoint import load, save
from quantune.amed.credit import Credit, Quality
from quantune.amed.data import Pictures, batches
from quantune.amed.network import QuantizedNetwork
from quantune.amed.reward import Judge, Score
from quantune.amed.settings import TrainingSettings
from quantune.progress import Progress

FINALISTS = 4
"""States of highest quality that are judged once more, by the same weights, before the last phase."""


@dataclass
class Search:
    """One training of bits, as far as it has come.

    Attributes:
        state: where the chain is. taken: how many steps are done; each trains `settings.interval` batches.
        trajectory: one record a step, JSON-able.
    """

    network: QuantizedNetwork
    judge: Judge
    training: Pictures
    settings: TrainingSettings
    state: State
    taken: int = 0
    credit: Credit = field(init=False)
    quality: Quality = field(default_factory=Quality)
    trajectory: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credit = Credit.empty(len(self.state))
        self.optimizer = _optimizer(self.network, self.settings)

    @property
    def steps(self) -> tuple[int, int]:
        """(of the search, in all)."""
        return self.settings.steps(len(self.training))


def run(search: Search, checkpoint: Path, key: str, progress: Progress) -> None:
    """Takes the steps that are left, from the checkpoint if it is of the same `key`, saving after every one.

    A run that was killed comes to the same result as one that was not.
    """
    if load(search, checkpoint, key) and search.taken:
        progress.note(f"going on after step {search.taken} of {search.steps[1]}")
    searching, total = search.steps
    progress.start("training bits", total - search.taken)
    try:
        while search.taken < total:
            record = _searched(search) if search.taken < searching else _settled(search)
            record |= {"training_loss": _train(search)}
            search.trajectory.append(_rounded({"step": search.taken} | record))
            search.taken += 1
            if search.taken == searching:
                search.state = _best(search)
            save(search, checkpoint, key)
            progress.advance()
    finally:
        progress.finish()


def _searched(search: Search) -> dict[str, Any]:
    """A few steps of the chain, all judged by the same weights: for those, the chain is exact."""
    settings, judge = search.settings, search.judge
    generator = np.random.default_rng((settings.seed, 1, search.taken))
    seen: dict[State, Score] = {search.state: judge.score(search.state)}

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
    for state, score in seen.items():
        if math.isfinite(score.reward):
            search.quality.learn(state, score.reward)
    return _record(search, seen[search.state], "search") | {
        "proposals": len(seen) - 1,
        "accepted": accepted,
        "temperature": temperature,
    }


def _settled(search: Search) -> dict[str, Any]:
    return _record(search, search.judge.score(search.state), "final")


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


def _best(search: Search) -> State:
    """Of the states of highest quality and the present one, what today's weights make the best of."""
    judge = search.judge
    candidates = dict.fromkeys([search.state, *search.quality.best(FINALISTS)])
    scores = {state: judge.score(state).reward for state in candidates}
    return max(scores, key=lambda state: scores[state])


def _train(search: Search) -> float:
    """`interval` batches in the present state; the mean loss."""
    network, settings = search.network, search.settings
    network.settle(search.state)
    seed = (settings.seed, 2, search.taken)
    losses = []
    for index, (images, labels) in enumerate(
        batches(search.training, settings.batch, settings.interval, seed)
    ):
        _set_rate(search, search.taken + index / settings.interval)
        search.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        search.optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses)


def _set_rate(search: Search, position: float) -> None:
    """Even while the chain moves, then a cosine to zero."""
    searching, total = search.steps
    left = max(0.0, (position - searching) / max(1e-9, total - searching))
    factor = 0.5 * (1 + math.cos(math.pi * min(1.0, left)))
    rates = (search.settings.rate, search.settings.step_rate)
    for group, rate in zip(search.optimizer.param_groups, rates, strict=True):
        group["lr"] = factor * rate


def _optimizer(network: QuantizedNetwork, settings: TrainingSettings) -> torch.optim.Adam:
    steps = [*network.steps.parameters(), *network.value_steps.parameters()]
    others = [*network.kernels.parameters()]
    others += [bias for name in network.layers if (bias := network.twin.bias(name)) is not None]
    groups = [
        {"params": others, "lr": settings.rate},
        {"params": steps, "lr": settings.step_rate},
    ]
    return torch.optim.Adam(groups)


def _rounded(record: dict[str, Any]) -> dict[str, Any]:
    """Figures as people read them; the checkpoint keeps what counts exactly."""
    return {k: round(v, 6) if isinstance(v, float) and math.isfinite(v) else v for k, v in record.items()}
