"""Made-up trials of networks that are alike, in the published form."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from quantune.search.space import PAPER
from quantune.search.trials import TRAITS, Measured, read_published

LOSS = {
    "1": 1.5,
    "1000": 0.0,
    "10000": 0.3,
    "tensor": 0.8,
    "channel": 0.0,
    "max": 0.6,
    "KL": 0.0,
    "asymmetric": 0.0,
    "symmetric": 0.7,
    "symmetric_uint8": 0.5,
    "symmetric_power": 5.0,
    "8": 0.0,
    "mixed": 0.2,
}


def made(number: int, noise: float = 0.15) -> Measured:
    """One network: its losses are the common ones, somewhat changed; only some have mixed settings."""
    random = np.random.default_rng(number)
    own = {level: loss * random.uniform(0.5, 1.5) for level, loss in LOSS.items()}
    settings = tuple(s for s in PAPER.settings if s[0] == "8" or (number % 2 and s[1] == "1000"))
    drop = np.array([sum(own[level] for level in s) for s in settings])
    scores = np.round(70 - drop + noise * random.standard_normal(len(settings)), 2)
    return Measured(f"net{number}", dict.fromkeys(TRAITS, 10.0 + number), settings, scores)


def made_all(count: int = 4) -> dict[str, Measured]:
    return {m.model: m for m in map(made, range(count))}


def write_published(path: Path, count: int = 4) -> dict[str, Measured]:
    """The networks as a file, and as it reads."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["model", *PAPER.names, "top1", *TRAITS])
        table.writeheader()
        for m in made_all(count).values():
            for setting, score in zip(m.settings, m.scores, strict=True):
                table.writerow({"model": m.model, **PAPER.describe(setting), "top1": score, **m.traits})
    return read_published(path)
