"""Trials of many networks: those that ship with Quantune, and those that this user's searches have added."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from quantune.errors import QuantuneError
from quantune.files import cache_folder, read_json, write_json
from quantune.graph.model import Graph
from quantune.search.evaluate import Metrics
from quantune.search.objectives import Objective
from quantune.search.space import Space
from quantune.search.trials import Measured

SCHEMA = "quantune.trials/1"
SHIPPED = Path(__file__).parent / "trials.json"
FEWEST = 4
"""A network with fewer trials says nothing about which setting is best."""


@dataclass
class Record:
    """One network's trials under the same conditions.

    fingerprint: of the graph. traits: of its graph, see `trials.TRAITS`. conditions: target, data and images.
    trials: the setting by factor, and what it came to.
    """

    model: str
    fingerprint: str
    traits: dict[str, float]
    conditions: dict[str, str]
    trials: list[tuple[dict[str, str], Metrics]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Unlike that of the same network under other conditions."""
        said = hashlib.sha256(repr(sorted(self.conditions.items())).encode()).hexdigest()[:8]
        return f"{self.fingerprint}-{said}"

    def to_json(self) -> dict[str, Any]:
        trials = [{"setting": setting, **asdict(metrics)} for setting, metrics in self.trials]
        return {**asdict(self), "trials": trials}

    def measured(self, space: Space, objective: Objective, weight: float) -> Measured | None:
        """The trials that fit the space and have what the objective needs; None if they are too few.

        A factor that came into the space later had its first level then.
        """
        found = {}
        for trial, metrics in self.trials:
            setting = tuple(trial.get(factor.name, factor.levels[0]) for factor in space.factors)
            fits = all(level in factor.levels for level, factor in zip(setting, space.factors, strict=True))
            if fits and not (objective.timed and metrics.relative_latency is None):
                found[setting] = objective.score(metrics, weight)
        if len(found) < FEWEST:
            return None
        return Measured(self.model, self.traits, tuple(found), np.array(list(found.values()), np.float64))


def record_from_json(raw: dict[str, Any]) -> Record:
    trials = [
        (trial["setting"], Metrics(**{name: value for name, value in trial.items() if name != "setting"}))
        for trial in raw["trials"]
    ]
    return Record(**raw | {"trials": trials})


def read(path: Path) -> list[Record]:
    """Raises QuantuneError when the file is missing, damaged or of another version."""
    raw = read_json(path)
    try:
        if raw["schema"] != SCHEMA:
            raise QuantuneError(f"{path} is of another version; delete it, it grows again with use")
        return [record_from_json(record) for record in raw["networks"]]
    except (KeyError, TypeError) as error:
        raise QuantuneError(f"{path} is no database of trials ({error!r}); delete or restore it") from error


def write(path: Path, records: Sequence[Record]) -> None:
    write_json(path, {"schema": SCHEMA, "networks": [record.to_json() for record in records]})


def known(shipped: Path = SHIPPED) -> list[Record]:
    """Every network that there are trials of; the user's own take the place of what shipped of the same."""
    records = {record.name: record for record in (read(shipped) if shipped.exists() else [])}
    for path in sorted(cache_folder("trials").glob("*.json")):
        records |= {record.name: record for record in read(path)}
    return list(records.values())


def remember(record: Record) -> None:
    """Keeps a network's trials, those of earlier searches included, in the user's cache."""
    path = cache_folder("trials") / f"{record.name}.json"
    for earlier in read(path) if path.exists() else []:
        record = joined(earlier, record)
    write(path, [record])


def joined(earlier: Record, later: Record) -> Record:
    """The trials of both; of a setting that both have, the later one."""
    trials = {
        tuple(sorted(setting.items())): (setting, metrics)
        for record in (later, earlier, later)  # in the later one's order, and with its figures
        for setting, metrics in record.trials
    }
    return replace(later, trials=list(trials.values()))


def traits_of(graph: Graph) -> dict[str, float]:
    """What `trials.TRAITS` says, of a graph whose batch norms are folded."""
    convolutions = [layer for layer in graph if layer.kind in ("conv2d", "depthwise_conv2d")]
    pointwise = [
        layer
        for layer in convolutions
        if layer.kind == "conv2d" and layer.weight is not None and layer.weight.shape[:2] == (1, 1)
    ]
    weights = sum(layer.weight.nbytes for layer in graph if layer.weight is not None)
    return {
        "nodes": float(len(graph.layers)),
        "conv": float(len(convolutions)),
        "batch_norm": 0.0,
        "activation": float(sum(layer.clamp != (-np.inf, np.inf) for layer in graph)),
        "skip": float(sum(layer.residual or layer.kind == "add" for layer in graph)),
        "depthwise": float(sum(layer.kind == "depthwise_conv2d" for layer in graph)),
        "pointwise": float(len(pointwise)),
        "size_mb": round(weights / 1e6, 3),
    }
