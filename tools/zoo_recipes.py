"""How each model of the zoo is trained: found on the last 5,000 training pictures, never on test pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, one cycle.

    epochs: over the training pictures. batch: pictures a step.
    rate: peak learning rate, reached after the share `warm_up` of all steps; from there a cosine to zero.
    weight_decay: of weights, not of biases and batch norms. smoothing: of labels.
    clip: largest norm of a step's gradient, or None. shift: random, in pixels each way. seed: of everything.
    """

    epochs: int = 8
    batch: int = 128
    rate: float = 0.2
    warm_up: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    smoothing: float = 0.1
    clip: float | None = None
    shift: int = 1
    seed: int = 0


RECIPES = {
    "resnet18": Recipe(),
    "mobilenet_v2": Recipe(epochs=6),
    # Without batch norm larger steps diverge.
    "squeezenet": Recipe(rate=0.04, clip=1.0, weight_decay=2e-4),
    "vgg16": Recipe(epochs=6, rate=0.1),
    "shufflenet_v2": Recipe(epochs=7),
    "mobilenet_v1": Recipe(epochs=6),
    "googlenet": Recipe(epochs=6),
    "resnet50": Recipe(epochs=5),
}
