"""Settings as data: factors, their levels, and which combinations a search may try."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError

Setting = tuple[str, ...]
"""One level for every factor of a space, in the factors' order."""


@dataclass(frozen=True)
class Factor:
    """One choice that a setting makes, and what may be chosen."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """The factors, and those combinations of their levels that can be tried."""

    factors: tuple[Factor, ...]
    settings: tuple[Setting, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(factor.name for factor in self.factors)

    def codes(self, settings: Iterable[Setting]) -> NDArray[np.int64]:
        """The levels' indices, i64 [settings, factors]; raises QuantuneError for a level of no factor."""
        indices = [{level: i for i, level in enumerate(factor.levels)} for factor in self.factors]
        try:
            rows = [[index[level] for index, level in zip(indices, s, strict=True)] for s in settings]
        except (KeyError, ValueError) as error:
            raise QuantuneError(
                f"a setting does not fit the factors {', '.join(self.names)}: {error}"
            ) from None
        return np.array(rows, np.int64).reshape(-1, len(self.factors))

    def one_hot(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """f64 [settings, levels of all factors]: 1 where a setting has that level."""
        columns = [codes[:, f, None] == np.arange(len(x.levels)) for f, x in enumerate(self.factors)]
        return np.concatenate(columns, axis=1).astype(np.float64)

    def describe(self, setting: Setting) -> dict[str, str]:
        return dict(zip(self.names, setting, strict=True))


def product(factors: Sequence[Factor]) -> Space:
    """The space of all combinations."""
    return Space(tuple(factors), tuple(itertools.product(*(factor.levels for factor in factors))))


PAPER = product(
    [
        Factor("precision", ("8", "mixed")),
        Factor("calibration_images", ("1", "1000", "10000")),
        Factor("granularity", ("tensor", "channel")),
        Factor("clipping", ("max", "KL")),
        Factor("scheme", ("asymmetric", "symmetric", "symmetric_uint8", "symmetric_power")),
    ]
)
"""The 96 settings of the published tuner."""
