"""What a bit vector is worth: how well the network classifies with it, and what the hardware says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantune.amed.budget import Costs, within
from quantune.amed.chain import State
from quantune.amed.lesson import Examination
from quantune.amed.network import QuantizedNetwork
from quantune.amed.settings import TrainingSettings
from quantune.plan.budget import Budget


@dataclass(frozen=True)
class Score:
    """loss: of the examination. accuracy: a fraction. milliseconds: of the signal, None without one."""

    loss: float
    accuracy: float
    milliseconds: float | None
    reward: float


@dataclass
class Judge:
    """Rewards of states, by the network as it is trained now.

    reward = -loss - latency_weight · latency / latency of the widest weights
             - penalty · max(0, min_accuracy - accuracy)

    and -inf where a budget is not kept, which is known without running the network.

    Attributes:
        latency: milliseconds of a state, the hardware's signal; None leaves the term out.
    """

    network: QuantizedNetwork
    examination: Examination
    costs: Costs
    budgets: Sequence[Budget]
    settings: TrainingSettings
    latency: Callable[[State], float] | None

    def permitted(self, state: State) -> bool:
        return within(self.costs, self.budgets, state)

    def score(self, state: State) -> Score:
        """Runs the validation pictures with the state's bits."""
        if not self.permitted(state):
            return Score(math.inf, 0.0, None, -math.inf)
        self.network.refresh(state)
        self.network.take(state)
        loss, accuracy = self.examination.measured(self.network)
        reward = -loss - self.settings.penalty * max(0.0, self.settings.min_accuracy - accuracy)
        if self.latency is None:
            return Score(loss, accuracy, None, reward)
        milliseconds, widest = self.latency(state), self.latency((self.settings.menu[-1],) * len(state))
        return Score(
            loss, accuracy, milliseconds, reward - self.settings.latency_weight * milliseconds / widest
        )
