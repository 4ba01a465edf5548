"""Trials that were measured: what a search learns from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError
from quantune.search.space import PAPER, Setting, Space

TRAITS = ("nodes", "conv", "batch_norm", "activation", "skip", "depthwise", "pointwise", "size_mb")
"""What is known of a network's graph before any trial: counts of operations, and megabytes."""
FEWEST = 4
"""Networks: nested validation leaves two out, and of the rest one teaches what the others say about it."""


@dataclass(frozen=True)
class Measured:
    """The trials of one network; of several metrics, `scores` is the one that is searched for.

    traits: of TRAITS. scores: f64 [settings], higher is better, in points (percent).
    """

    model: str
    traits: Mapping[str, float]
    settings: tuple[Setting, ...]
    scores: NDArray[np.float64]

    @property
    def best(self) -> float:
        return float(self.scores.max())


def read_published(path: Path) -> dict[str, Measured]:
    """Trials of the published tuner's form, a CSV with one row a trial, by network.

    Raises QuantuneError for a file that cannot be read, lacks a column, or holds what is no number, no
    level of the published settings, or a setting twice.
    """
    found: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["model"], []).append(row)
        measured = {model: _measured(model, rows, PAPER) for model, rows in found.items()}
    except OSError as error:
        raise QuantuneError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise QuantuneError(
            f"{path} is not a table of trials ({error!r}); its columns are model, {', '.join(PAPER.names)}, "
            f"top1, {', '.join(TRAITS)}"
        ) from None
    if len(measured) < FEWEST:
        raise QuantuneError(
            f"{path} has trials of {len(measured)} networks; a replay needs at least {FEWEST}"
        )
    return measured


def _measured(model: str, rows: Sequence[Mapping[str, str]], space: Space) -> Measured:
    settings = tuple(tuple(row[name] for name in space.names) for row in rows)
    space.codes(settings)
    if len(set(settings)) < len(settings):
        raise ValueError(f"a setting of {model} is there twice")
    scores = np.array([float(row["top1"]) for row in rows])
    if not np.isfinite(scores).all():
        raise ValueError(f"an accuracy of {model} is not finite")
    return Measured(model, {name: float(rows[0][name]) for name in TRAITS}, settings, scores)
