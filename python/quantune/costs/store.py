"""Measured costs, kept in one file a target, CPU and version of the kernels."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantune.costs.shapes import parse_key
from quantune.errors import QuantuneError
from quantune.files import cache_folder, read_json, write_json
from quantune.sources import digest, inside
from quantune.targets import Target, cpu

SCHEMA = "quantune.costs/1"
PACKAGES = ("iree-base-compiler", "iree-base-runtime", "numpy")
ROOMS = ("costs", "passes", "ir", "numerics")
FILES = ("backend/pipeline.py", "backend/compiler.py")


@dataclass(frozen=True)
class Cost:
    """Of one layer: microseconds on one thread, and bytes of weights, scales and schedules."""

    microseconds: float
    bytes: int

    def times(self, count: float) -> Cost:
        """Of so many such layers side by side."""
        return Cost(self.microseconds * count, round(self.bytes * count))


@dataclass
class Store:
    """What has been measured for one target on this machine: shape's key → precision → Cost."""

    path: Path
    target: str
    cpu: str
    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)

    def save(self) -> None:
        """Whole or not at all. Raises QuantuneError when the folder cannot be written."""
        costs = {
            key: {name: [round(cost.microseconds, 3), cost.bytes] for name, cost in sorted(found.items())}
            for key, found in sorted(self.costs.items())
        }
        facts = {"schema": SCHEMA, "target": self.target, "cpu": self.cpu, "versions": _versions()}
        write_json(self.path, facts | {"unit": "[microseconds, bytes]", "costs": costs})


def open_store(target: Target, kernels: bool = True) -> Store:
    """What is known for `target`; empty when nothing is, or when the file is damaged: it is made anew."""
    here = cpu.here().name
    key = hashlib.sha256(repr((here, target, kernels, code_digest(), _versions())).encode()).hexdigest()
    store = Store(folder() / f"{target.name}-{key[:12]}.json", target.name, here)
    try:
        raw: Any = read_json(store.path) if store.path.exists() else {}
        for key, found in raw.get("costs", {}).items():
            parse_key(key)
            store.costs[key] = {name: Cost(float(cost), int(size)) for name, (cost, size) in found.items()}
    except (QuantuneError, TypeError, ValueError, AttributeError):
        store.costs = {}
    return store


def folder() -> Path:
    """Where this machine's costs are kept."""
    return cache_folder("costs")


@functools.cache
def code_digest() -> str:
    """Of everything that decides what a layer becomes and how it is timed, the kernels' bitcode included."""
    return digest([*inside(*ROOMS), *FILES])


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
