"""How each model of the zoo is trained: found on the last 5,000 training pictures, never on test pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum (or AdamW) in one or several cycles of the learning rate.

    cycles: (epochs, peak learning rate). The peak is reached after the share `warm_up` of the cycle's steps;
        from there it falls to zero as a cosine. One more cycle continues a finished training.
    batch: pictures a step.
    weight_decay: of weights, not of biases and batch norms. smoothing: of labels.
    adam: AdamW instead, whose first moment decays with `momentum`.
    clip: largest norm of a step's gradient, or None. drop_out: probability, or None for the architecture's.
    shift: random, in pixels each way. seed: of everything.
    """

    cycles: tuple[tuple[int, float], ...] = ((8, 0.2),)
    batch: int = 128
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    clip: float | None = None
    adam: bool = False
    drop_out: float | None = None
    shift: int = 1
    seed: int = 0

    @property
    def epochs(self) -> int:
        return sum(epochs for epochs, _ in self.cycles)

    def until(self, epoch: int) -> Recipe:
        """Without the cycles that begin after so many epochs."""
        begun = 0
        cycles: list[tuple[int, float]] = []
        for cycle in self.cycles:
            if not cycles or begun < epoch:
                cycles.append(cycle)
            begun += cycle[0]
        return replace(self, cycles=tuple(cycles))

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs, a fraction of one included."""
        for epochs, rate in self.cycles:
            progress = epoch / epochs
            if progress < self.warm_up:
                return rate * (0.05 + 0.95 * progress / self.warm_up)
            if progress < 1:
                return rate * 0.5 * (1 + math.cos(math.pi * (progress - self.warm_up) / (1 - self.warm_up)))
            epoch -= epochs
        return 0.0


RECIPES = {
    "resnet18": Recipe(),
    "mobilenet_v2": Recipe(cycles=((6, 0.2), (4, 0.1), (6, 0.1))),
    # Without batch norm SGD is slow (88 % after 8 epochs), and half of the features dropped is too much.
    "squeezenet": Recipe(
        cycles=((12, 0.003), (8, 0.002)), adam=True, weight_decay=0.01, drop_out=0.1, warm_up=0.3, clip=5.0
    ),
    "vgg16": Recipe(cycles=((6, 0.1),)),
    "shufflenet_v2": Recipe(cycles=((7, 0.2), (4, 0.1))),
    "mobilenet_v1": Recipe(cycles=((6, 0.15), (4, 0.1), (6, 0.1))),
    "googlenet": Recipe(cycles=((6, 0.2), (6, 0.15))),
    "resnet50": Recipe(cycles=((5, 0.2),)),
}
