"""The chain samples what it says it samples, and its bookkeeping credits the right layers."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from quantune.amed.chain import Proposal, State, Step, neighbours, step
from quantune.amed.credit import MEMORY, Credit, Quality

MENU = (2, 4, 8)
STATES: list[State] = list(product(MENU, repeat=3))
CREDIT = np.array([1.5, -0.3, -2.0])


def reward(state: State) -> float:
    """Bits help the first layer most; more than 16 bits are not permitted."""
    if sum(state) > 16:
        return -math.inf
    return 0.4 * state[0] + 0.1 * state[1] - 0.05 * state[2] - 0.02 * state[0] * state[1]


def target(temperature: float) -> dict[State, float]:
    weights = {s: math.exp(reward(s) / temperature) for s in STATES if math.isfinite(reward(s))}
    return {s: w / sum(weights.values()) for s, w in weights.items()}


def test_detailed_balance_holds_for_every_pair_of_states() -> None:
    """pi(s) q(s'|s) a(s'|s) = pi(s') q(s|s') a(s|s'), with the acceptance written out once more."""
    proposal, wanted, temperature = Proposal(MENU, CREDIT), target(0.7), 0.7
    pairs = 0
    for a in wanted:
        for b, there in neighbours(a, proposal, STATES).items():
            if b not in wanted:
                continue
            back = proposal.probability(b, a)
            assert back > 0
            rise = (reward(b) - reward(a)) / temperature
            forward = wanted[a] * there * min(1.0, math.exp(rise) * back / there)
            backward = wanted[b] * back * min(1.0, math.exp(-rise) * there / back)
            assert forward == pytest.approx(backward, rel=1e-9)
            pairs += 1
    assert pairs > 100


@pytest.mark.parametrize("state", [(2, 2, 2), (8, 4, 2), (4, 4, 4), (8, 8, 8)])
def test_proposals_come_as_often_as_their_probability_says(state: State) -> None:
    proposal, generator, draws = Proposal(MENU, CREDIT), np.random.default_rng(5), 3_000
    seen = Counter(proposal.sample(state, generator) for _ in range(draws))
    known = neighbours(state, proposal, STATES)
    known[state] = 1 - sum(known.values())
    assert known[state] > -1e-12
    for other, share in known.items():
        deviation = math.sqrt(draws * share * (1 - share)) if 0 < share < 1 else 1.0
        assert abs(seen[other] - draws * share) < 5 * deviation + 1
    assert set(seen) <= set(known)


def test_the_chain_visits_states_as_often_as_their_rewards_say() -> None:
    temperature, draws, wanted = 0.7, 8_000, target(0.7)
    proposal, generator = Proposal(MENU, CREDIT), np.random.default_rng(11)
    state: State = (2, 2, 2)
    visits: Counter[State] = Counter()
    for _ in range(draws):
        state = step(state, reward(state), reward, proposal, temperature, generator).state
        visits[state] += 1
    distance = 0.5 * sum(abs(visits[s] / draws - wanted.get(s, 0.0)) for s in STATES)
    assert distance < 0.06
    assert all(math.isfinite(reward(s)) for s in visits)


def test_without_the_hastings_ratio_the_distribution_would_be_another() -> None:
    """The proposal is lopsided enough for the test above to notice: taken as symmetric, it misses by far."""
    proposal, wanted = Proposal(MENU, CREDIT), target(0.7)
    states = list(wanted)
    matrix = np.zeros((len(states), len(states)))
    for i, a in enumerate(states):
        for b, there in neighbours(a, proposal, states).items():
            matrix[i, states.index(b)] = there * min(1.0, math.exp((reward(b) - reward(a)) / 0.7))
        matrix[i, i] = 1 - matrix[i].sum()
    stationary = np.linalg.matrix_power(matrix, 4096)[0]
    assert 0.5 * np.abs(stationary - [wanted[s] for s in states]).sum() > 0.1


def test_credit_goes_to_the_layers_that_moved_by_the_way_they_went() -> None:
    credit = Credit.empty(3)
    credit.learn((4, 4, 4), 1.0, Step((8, 2, 4), (8, 2, 4), 1.6, True))
    np.testing.assert_allclose(credit.worth, [0.3, -0.3, 0.0])
    credit.learn((8, 2, 4), 1.6, Step((8, 2, 4), (4, 2, 4), 0.6, False))
    np.testing.assert_allclose(credit.worth, [MEMORY * 0.3 + (1 - MEMORY) * 1.0, -0.3, 0.0])
    before = credit.worth.copy()
    credit.learn((8, 2, 4), 1.6, Step((8, 2, 4), (8, 8, 4), -math.inf, False))
    np.testing.assert_array_equal(credit.worth, before)
    assert credit.relative[0] > 0 > credit.relative[1] and credit.relative[2] == 0


def test_quality_forgets_what_an_older_network_earned() -> None:
    quality = Quality()
    for value in (1.0, 0.0, 0.0, 0.0):
        quality.learn((8, 8), value)
    quality.learn((4, 4), 0.6)
    assert quality.rewards[(8, 8)] == pytest.approx(MEMORY**3)
    assert quality.best(2) == [(4, 4), (8, 8)]
