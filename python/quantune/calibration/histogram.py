"""A histogram of one value whose range is not known in advance: one pass, bounded memory, mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError

BINS = 2048


@dataclass
class Histogram:
    """Counts over bins [i * width, (i + 1) * width) for i in first .. first + BINS - 1, width a power of two.

    The width is the least power of two at which the range seen so far fits (and not finer than f32 resolves
    at the largest magnitude). Bins are aligned to multiples of the width, so coarsening merges pairs exactly:
    the counts do not depend on the order or the batches in which the data came.

    Attributes:
        name: of the value, for messages.
        exponent: width = 2**exponent.
        zeros: how many values are exactly 0; they are in `counts` too.
        minimum, maximum: exact. sum, sum_squares: in f64.
    """

    name: str = ""
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    exponent: int = -149
    first: int = 0
    count: int = 0
    zeros: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    sum: float = 0.0
    sum_squares: float = 0.0

    @property
    def width(self) -> float:
        return math.ldexp(1.0, self.exponent)

    @property
    def edges(self) -> NDArray[np.float64]:
        """[BINS + 1]"""
        return np.arange(self.first, self.first + BINS + 1, dtype=np.float64) * self.width

    @property
    def centers(self) -> NDArray[np.float64]:
        """[BINS]"""
        return self.edges[:-1] + 0.5 * self.width

    @property
    def mean(self) -> float:
        return self.sum / max(self.count, 1)

    @property
    def nonzero_counts(self) -> NDArray[np.int64]:
        """The counts without exact zeros."""
        counts = self.counts.copy()
        if self.zeros:
            counts[-self.first] -= self.zeros
        return counts

    def add(self, values: NDArray[Any]) -> None:
        """Counts every element. Raises QuantuneError naming the value when one is NaN or infinite."""
        x = np.asarray(values, dtype=np.float64).ravel()
        if x.size == 0:
            return
        low, high = float(x.min()), float(x.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise QuantuneError(
                f"value {self.name or '?'} holds NaN or infinity during calibration; check weights and images"
            )
        self._cover(low, high)
        index = np.floor(np.ldexp(x, -self.exponent)).astype(np.int64) - self.first
        self.counts += np.bincount(index, minlength=BINS)
        self.count += x.size
        self.zeros += int(x.size - np.count_nonzero(x))
        self.sum += float(x.sum())
        self.sum_squares += float(x @ x)

    def merge(self, other: Histogram) -> None:
        """Adds what `other` has seen."""
        if other.count == 0:
            return
        self._cover(other.minimum, other.maximum)
        used = np.flatnonzero(other.counts)
        index = (other.first + used) >> _shift(self.exponent - other.exponent)
        np.add.at(self.counts, index - self.first, other.counts[used])
        self.count += other.count
        self.zeros += other.zeros
        self.sum += other.sum
        self.sum_squares += other.sum_squares

    def to_json(self) -> dict[str, Any]:
        """Exact; runs of empty bins at both ends are left out."""
        used = np.flatnonzero(self.counts)
        low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        return {
            "name": self.name,
            "exponent": self.exponent,
            "first": self.first + low,
            "counts": self.counts[low:high].tolist(),
            "count": self.count,
            "zeros": self.zeros,
            "minimum": self.minimum if self.count else None,
            "maximum": self.maximum if self.count else None,
            "sum": self.sum,
            "sum_squares": self.sum_squares,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Histogram:
        """Raises QuantuneError when keys are missing or of the wrong type."""
        try:
            facts = dict(raw)
            counts = np.zeros(BINS, dtype=np.int64)
            trimmed = facts.pop("counts")
            counts[: len(trimmed)] = trimmed
            lowest, highest = facts.pop("minimum"), facts.pop("maximum")
            result = cls(counts=counts, **facts)
            if result.count:
                result.minimum, result.maximum = float(lowest), float(highest)
            return result
        except (KeyError, TypeError, ValueError) as error:
            raise QuantuneError(
                f"damaged histogram in the statistics ({error}); delete them and rerun"
            ) from None

    def _cover(self, low: float, high: float) -> None:
        """Widens and shifts the bins until [low, high] and all that was seen before fit."""
        low, high = min(low, self.minimum), max(high, self.maximum)
        magnitude = max(-low, high)
        exponent = max(math.frexp(magnitude)[1] - 24, -149) if magnitude else -149
        while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= BINS:
            exponent += 1
        first = math.floor(math.ldexp(low, -exponent))
        if (exponent, first) != (self.exponent, self.first):
            used = np.flatnonzero(self.counts)
            index = ((self.first + used) >> _shift(exponent - self.exponent)) - first
            counts = np.zeros(BINS, dtype=np.int64)
            np.add.at(counts, index, self.counts[used])
            self.counts, self.exponent, self.first = counts, exponent, first
        self.minimum, self.maximum = low, high


def _shift(steps: int) -> int:
    """Numpy's shifts of 64 and more are undefined; 63 already leaves 0 or -1."""
    return min(steps, 63)
