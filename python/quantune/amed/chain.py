"""A Metropolis-Hastings chain over bit vectors. Knows nothing of networks.

N. Metropolis et al., "Equation of state calculations by fast computing machines", J. Chem. Phys. 21, 1953;
W. K. Hastings, "Monte Carlo sampling methods using Markov chains and their applications", Biometrika 57,
1970.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

State = tuple[int, ...]
"""Bits of every layer, in the order of the graph."""
Reward = Callable[[State], float]

SINGLE = 0.5
"""The share of proposals that move one layer; the others exchange bits between two."""
FLOOR = 0.1
"""Of the even choice among layers: however bad a layer's credit, it is asked now and then."""


@dataclass(frozen=True)
class Proposal:
    """Where the chain may go next: one layer a step up or down the menu, or one up and another down.

    With probability SINGLE a direction is tossed, then a layer that can move that way is drawn; else a layer
    that can go up is drawn, and another that can go down. Layers are drawn in proportion to exp(credit) for
    the way up and exp(-credit) for the way down, mixed with FLOOR of the even choice. Where no layer can
    move as drawn, the chain stays. Every pair of states has at most one move between them, so that
    probabilities are exact.

    Attributes:
        menu: widths, narrowest first.
        credit: [layers], what a step up has been worth, in units of its own spread.
    """

    menu: tuple[int, ...]
    credit: NDArray[np.float64]

    def sample(self, state: State, generator: np.random.Generator) -> State:
        """A neighbour of `state`, or `state` itself where the move drawn does not exist."""
        if generator.random() < SINGLE:
            way = 1 if generator.random() < 0.5 else -1
            layer = _drawn(self._shares(state, way), generator)
            return state if layer is None else self._moved(state, layer, way)
        up = _drawn(self._shares(state, 1), generator)
        if up is None:
            return state
        down = _drawn(self._shares(state, -1, without=up), generator)
        return state if down is None else self._moved(self._moved(state, up, 1), down, -1)

    def probability(self, state: State, other: State) -> float:
        """Of proposing `other` in `state`; for two different states."""
        steps = {
            i: self.menu.index(b) - self.menu.index(a)
            for i, (a, b) in enumerate(zip(state, other, strict=True))
            if a != b
        }
        if any(abs(step) != 1 for step in steps.values()):
            return 0.0
        match sorted(steps.items(), key=lambda item: -item[1]):
            case [(layer, way)]:
                return SINGLE * 0.5 * float(self._shares(state, way)[layer])
            case [(up, 1), (down, -1)]:
                shares = self._shares(state, 1)[up] * self._shares(state, -1, without=up)[down]
                return (1 - SINGLE) * float(shares)
        return 0.0

    def _moved(self, state: State, layer: int, way: int) -> State:
        bits = self.menu[self.menu.index(state[layer]) + way]
        return (*state[:layer], bits, *state[layer + 1 :])

    def _shares(self, state: State, way: int, without: int | None = None) -> NDArray[np.float64]:
        """[layers] how likely each is drawn for a step that way; all zero where none can take it."""
        edge = self.menu[-1] if way > 0 else self.menu[0]
        free = np.array([bits != edge and i != without for i, bits in enumerate(state)])
        if not free.any():
            return np.zeros(len(state))
        weights = np.exp(np.clip(way * self.credit, -4.0, 4.0)) * free
        return (1 - FLOOR) * weights / weights.sum() + FLOOR * free / free.sum()


@dataclass(frozen=True)
class Step:
    """What became of one proposal. reward: of the proposed state; -inf where it is not permitted."""

    state: State
    proposed: State
    reward: float
    accepted: bool


def step(
    state: State,
    reward: float,
    reward_of: Reward,
    proposal: Proposal,
    temperature: float,
    generator: np.random.Generator,
) -> Step:
    """One Metropolis-Hastings step from `state`, whose reward is `reward`.

    The proposed state is taken with probability min(1, exp((r' - r) / T) · q(s | s') / q(s' | s)), which
    leaves the distribution exp(r / T) as it is. States of reward -inf are never entered.
    """
    proposed = proposal.sample(state, generator)
    if proposed == state:
        return Step(state, state, reward, False)
    found = reward_of(proposed)
    if not math.isfinite(found):
        return Step(state, proposed, found, False)
    there, back = proposal.probability(state, proposed), proposal.probability(proposed, state)
    logarithm = (found - reward) / temperature + math.log(back / there)
    accepted = math.log(1.0 - generator.random()) < logarithm
    return Step(proposed if accepted else state, proposed, found, accepted)


def neighbours(state: State, proposal: Proposal, states: Sequence[State]) -> dict[State, float]:
    """Which of `states` are proposed in `state`, with their probabilities."""
    found = {other: proposal.probability(state, other) for other in states if other != state}
    return {other: share for other, share in found.items() if share > 0}


def _drawn(shares: NDArray[np.float64], generator: np.random.Generator) -> int | None:
    if not shares.any():
        return None
    return int(generator.choice(len(shares), p=shares / shares.sum()))
