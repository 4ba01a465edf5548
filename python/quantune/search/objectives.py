"""What a search is for, as values for Optuna and as one score for the surrogate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from quantune.errors import QuantuneError
from quantune.search.evaluate import Metrics

Goal = Literal["accuracy", "latency", "pareto"]
Direction = Literal["maximize", "minimize"]
GOALS: tuple[Goal, ...] = get_args(Goal)
PENALTY = 10.0
"""Percent of fp32's latency that a point beyond the allowed drop costs."""


@dataclass(frozen=True)
class Objective:
    """One of GOALS.

    accuracy: the highest quality. latency: the least latency whose drop is at most `max_drop` points.
    pareto: the front of quality and latency.
    """

    goal: Goal
    max_drop: float = 1.0

    @property
    def directions(self) -> list[Direction]:
        return ["maximize", "minimize"] if self.goal == "pareto" else ["maximize"]

    @property
    def timed(self) -> bool:
        return self.goal != "accuracy"

    def values(self, metrics: Metrics) -> tuple[float, ...]:
        """In the order of `directions`; raises QuantuneError for metrics without a latency that is needed."""
        if self.goal == "pareto":
            return metrics.quality, _relative(metrics)
        return (self.score(metrics, 0.5),)

    def score(self, metrics: Metrics, weight: float) -> float:
        """Points, higher is better. weight: of quality against latency, from 0 to 1; for pareto only."""
        if self.goal == "accuracy":
            return metrics.quality
        if self.goal == "latency":
            return -_relative(metrics) - PENALTY * max(0.0, metrics.drop - self.max_drop)
        return -weight * metrics.drop - (1 - weight) * _relative(metrics)


def _relative(metrics: Metrics) -> float:
    found = metrics.relative_latency
    if found is None:
        raise QuantuneError("these metrics have no latency; evaluate again with a timed objective")
    return found
