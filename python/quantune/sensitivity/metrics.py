"""SQNR and MSE: how far quantized numbers are from the real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CEILING_DB = 150.0
"""Reported where there is no noise at all: beyond what f32 resolves, and JSON knows no infinity."""


@dataclass
class Noise:
    """Running sums over any number of arrays.

    sqnr_db = 10 log10(sum x^2 / sum (x - y)^2), the signal-to-quantization-noise ratio; mse = mean (x - y)^2.
    """

    signal: float = 0.0
    noise: float = 0.0
    count: int = 0

    def add(self, exact: ArrayLike, quantized: ArrayLike) -> None:
        x, y = np.asarray(exact, np.float64), np.asarray(quantized, np.float64)
        self.signal += float(np.vdot(x, x))
        self.noise += float(np.vdot(x - y, x - y))
        self.count += x.size

    @property
    def nsr(self) -> float:
        """Noise-to-signal ratio, linear; 0 without noise, infinite without signal."""
        if self.noise == 0:
            return 0.0
        return self.noise / self.signal if self.signal else math.inf

    @property
    def sqnr_db(self) -> float:
        return decibels(self.nsr)

    @property
    def mse(self) -> float:
        return self.noise / max(self.count, 1)


def decibels(nsr: float) -> float:
    """-10 log10(nsr), held within +-CEILING_DB."""
    if nsr <= 0:
        return CEILING_DB
    return max(-CEILING_DB, min(CEILING_DB, -10 * math.log10(nsr))) if math.isfinite(nsr) else -CEILING_DB


def noise_of(exact: ArrayLike, quantized: ArrayLike) -> Noise:
    """The Noise of one pair of arrays."""
    found = Noise()
    found.add(exact, quantized)
    return found
