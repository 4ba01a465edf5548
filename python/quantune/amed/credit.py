"""Quality of states and of layers, averaged exponentially, because the network under them keeps training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantune.amed.chain import State, Step

MEMORY = 0.8
"""What is kept of an average when a new value comes in."""


@dataclass
class Credit:
    """What a step up the menu has been worth, layer by layer.

    A proposal that moved k layers gives each 1/k of the change in reward, with the sign of its own step: if
    the reward rose, layers that went up were worth more bits and layers that went down were worth fewer.

    Attributes:
        worth: [layers] exponential averages of reward for a step up. asked: [layers] how often each was
        moved.
    """

    worth: NDArray[np.float64]
    asked: NDArray[np.int64]

    @classmethod
    def empty(cls, layers: int) -> Credit:
        return cls(np.zeros(layers), np.zeros(layers, dtype=np.int64))

    def learn(self, before: State, reward: float, seen: Step) -> None:
        """`before` had `reward` when `seen` was proposed. What is not permitted teaches nothing."""
        moved = [i for i, (a, b) in enumerate(zip(before, seen.proposed, strict=True)) if a != b]
        if not moved or not math.isfinite(seen.reward):
            return
        for i in moved:
            way = 1 if seen.proposed[i] > before[i] else -1
            share = way * (seen.reward - reward) / len(moved)
            keep = MEMORY if self.asked[i] else 0.0
            self.worth[i] = keep * self.worth[i] + (1 - keep) * share
            self.asked[i] += 1

    @property
    def relative(self) -> NDArray[np.float64]:
        """[layers] in units of their own spread: what `Proposal` draws by. Zero for layers never moved."""
        known = self.worth[self.asked > 0]
        spread = float(known.std()) if known.size > 1 else 0.0
        if spread == 0.0:
            return np.zeros_like(self.worth)
        return np.where(self.asked > 0, (self.worth - known.mean()) / spread, 0.0)


@dataclass
class Quality:
    """State → its rewards, averaged exponentially over the times that it was seen."""

    rewards: dict[State, float] = field(default_factory=dict)

    def learn(self, state: State, reward: float) -> None:
        old = self.rewards.get(state)
        self.rewards[state] = reward if old is None else MEMORY * old + (1 - MEMORY) * reward

    def best(self, count: int) -> list[State]:
        """The `count` states of highest quality, the best first; of equal ones the first seen."""
        return sorted(self.rewards, key=lambda state: -self.rewards[state])[:count]
