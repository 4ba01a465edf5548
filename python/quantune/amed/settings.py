"""What a training of bits is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Signal = Literal["table", "measured", "none"]
SIGNALS: tuple[Signal, ...] = ("table", "measured", "none")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides the result, beside network, data and budget.

    Attributes:
        menu: weight bits, narrowest first.
        epochs: over the training pictures, search and final training together. batch: pictures of one.
        search: the share of the batches that are trained while the chain moves.
        interval: batches between two steps of the search. proposals: of the chain in one step.
        temperature: of the chain, in units of reward, first and last; falls geometrically.
        rate: of Adam, for kernels as fractions of their largest weight; falls as a cosine once the search is
            over.
        step_rate: the same for logarithms of steps.
        signal: where the reward has latency from: the target's table of prices, the compiled module's clock,
            or not.
        distill: the share of the loss that the float network gives instead of the labels.
        latency_weight: reward lost for a latency as long as that of the widest weights.
        min_accuracy: on validation pictures, below which the reward falls by `penalty` for each share
            missing.
        validation: pictures held out to judge by: enough to tell allocations apart, few enough to be run for
            every proposal.
        seed: of batches, augmentation and chain.
    """

    menu: tuple[int, ...]
    epochs: float = 4.0
    batch: int = 128
    search: float = 0.5
    interval: int = 20
    proposals: int = 6
    temperature: tuple[float, float] = (0.005, 0.0005)
    rate: float = 1e-3
    step_rate: float = 2e-3
    signal: Signal = "table"
    distill: float = 1.0
    latency_weight: float = 0.02
    min_accuracy: float = 0.0
    penalty: float = 10.0
    validation: int = 512
    seed: int = 0

    def batches(self, pictures: int) -> int:
        """Of the whole training, a whole number of intervals, one at least."""
        size = min(self.batch, pictures)
        return max(1, round(self.epochs * pictures / size / self.interval)) * self.interval

    def steps(self, pictures: int) -> tuple[int, int]:
        """(of the search, in all): every step trains `interval` batches."""
        total = self.batches(pictures) // self.interval
        return (min(total, round(self.search * total)) if len(self.menu) > 1 else 0), total

    def temperature_at(self, step: int, steps: int) -> float:
        first, last = self.temperature
        return first * (last / first) ** (step / max(1, steps - 1))
