"""Batches of training between two steps of the search: gradients, rates, and what is remembered as best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from quantune.amed.chain import State
from quantune.amed.data import Pictures, batches
from quantune.amed.lesson import Lesson
from quantune.amed.network import QuantizedNetwork
from quantune.amed.settings import TrainingSettings

WARM = 0.05
"""The share of all batches over which rates rise to their full height."""


@dataclass
class Best:
    """The network as it was when its reward was highest; the untrained one counts too.

    weights: its state dict, copied.
    """

    reward: float
    state: State
    weights: dict[str, Any]

    @classmethod
    def of(cls, network: QuantizedNetwork, state: State, reward: float) -> Best:
        weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        return cls(reward, state, weights)


def optimizer_of(network: QuantizedNetwork, settings: TrainingSettings) -> torch.optim.Adam:
    steps = [*network.steps.parameters(), *network.value_steps.parameters()]
    others = [*network.kernels.parameters()]
    others += [bias for name in network.layers if (bias := network.twin.bias(name)) is not None]
    groups = [
        {"params": others, "lr": settings.rate},
        {"params": steps, "lr": settings.step_rate},
    ]
    return torch.optim.Adam(groups)


def train(
    network: QuantizedNetwork,
    optimizer: torch.optim.Optimizer,
    lesson: Lesson,
    training: Pictures,
    settings: TrainingSettings,
    taken: int,
) -> float:
    """`interval` batches in the network's present state, after `taken` steps; the mean loss."""
    losses = []
    chosen = batches(training, settings.batch, settings.interval, (settings.seed, 2, taken))
    for index, (images, labels) in enumerate(chosen):
        _set_rates(optimizer, settings, taken + index / settings.interval, settings.steps(len(training)))
        losses.append(_descend(network, optimizer, lesson, images, labels))
    return sum(losses) / len(losses)


def _descend(
    network: QuantizedNetwork,
    optimizer: torch.optim.Optimizer,
    lesson: Lesson,
    images: Tensor,
    labels: Tensor,
) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss = lesson.loss(network(images), labels, lesson.wanted(images))
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _set_rates(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, position: float, steps: tuple[int, int]
) -> None:
    factor = rate_factor(position, *steps)
    for group, rate in zip(optimizer.param_groups, (settings.rate, settings.step_rate), strict=True):
        group["lr"] = factor * rate


def rate_factor(position: float, searching: int, total: int) -> float:
    """Rises from nothing (Adam's first strides would be its longest), even while the chain moves, then a
    cosine to zero.

    position: in steps. searching, total: steps of the search, and in all.
    """
    rising = min(1.0, (position + 0.1) / (WARM * total + 0.1))
    left = max(0.0, (position - searching) / max(1e-9, total - searching))
    return rising * 0.5 * (1 + math.cos(math.pi * min(1.0, left)))
