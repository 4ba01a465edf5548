"""Latencies of several modules that can be compared, because they were measured side by side."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantune.backend import device
from quantune.errors import QuantuneError
from quantune.targets import cpu

PACKAGES = ("quantune", "iree-base-compiler", "iree-base-runtime", "torch-mlir", "torch", "numpy")

# A turn is long enough to be timed well, and starts with an untimed call that refills the caches which the
# other modules emptied: a deployed model has them to itself. Beside a slow call, a refill is nothing.
TURN_SECONDS = 0.05
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class BenchEntry:
    """One module to time: `system` is quantune or iree, `variant` is fp32, int8, v2, …"""

    model: str
    system: str
    variant: str
    vmfb: Path
    inputs: Sequence[np.ndarray]


@dataclass(frozen=True)
class BenchRow:
    """Milliseconds a call: median, interquartile range and minimum over all calls; and the module's size."""

    model: str
    system: str
    variant: str
    threads: int
    latency_ms: float
    spread_ms: float
    minimum_ms: float
    size_bytes: int


@dataclass
class _Timed:
    """A loaded module with its arguments on the device and the seconds of its calls so far."""

    entry: BenchEntry
    loaded: device.Loaded
    arguments: Any
    typical: float = 0.0
    seconds: list[float] = field(default_factory=list)

    def call(self) -> float:
        # Arguments stay on the device, results are allocated anew, as in iree-benchmark-module. What Python
        # adds is lost in the noise: 63.2 ms against 63.8 ms there for ResNet18, 16 us against 17 us for a
        # 64x64x128 matmul.
        started = time.perf_counter()
        self.loaded.call(self.arguments)
        return time.perf_counter() - started

    def turn(self) -> None:
        if self.typical < TURN_SECONDS:
            self.call()
        for _ in range(max(1, int(TURN_SECONDS / self.typical))):
            self.seconds.append(self.call())

    def row(self, threads: int) -> BenchRow:
        low, median, high = (float(v) for v in np.percentile(self.seconds, (25, 50, 75)) * 1e3)
        return BenchRow(
            model=self.entry.model,
            system=self.entry.system,
            variant=self.entry.variant,
            threads=threads,
            latency_ms=median,
            spread_ms=high - low,
            minimum_ms=min(self.seconds) * 1e3,
            size_bytes=self.entry.vmfb.stat().st_size,
        )


def benchmark(
    entries: Sequence[BenchEntry],
    threads: int = 1,
    rounds: int = 20,
    budget_seconds: float = 60.0,
    progress: Callable[[int], None] | None = None,
) -> list[BenchRow]:
    """Times modules in one process, taking turns (A B C A B C …), so that clock drift hits all alike.

    Stops after `rounds`, or earlier when `budget_seconds` are over and each had five turns. `progress` hears
    the number of rounds done. Raises QuantuneError if a module does not load or its inputs do not fit.
    """
    timed = [_load(entry, threads) for entry in entries]
    started = time.perf_counter()
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and time.perf_counter() - started > budget_seconds:
            break
        for module in timed:
            module.turn()
        if progress is not None:
            progress(done + 1)
    return [module.row(threads) for module in timed]


def to_json(rows: Sequence[BenchRow]) -> dict[str, Any]:
    """The measurement with what is needed to judge it: {"cpu", "versions", "rows"}."""
    return {"cpu": cpu_info(), "versions": versions(), "rows": [asdict(row) for row in rows]}


def cpu_info() -> dict[str, Any]:
    """The processor: its name, the features that matter here, and how many cores this process may use."""
    here = cpu.here()
    return {"name": here.name, "features": list(here.features), "cores": here.cores}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _load(entry: BenchEntry, threads: int) -> _Timed:
    loaded = device.Loaded(entry.vmfb, threads)
    timed = _Timed(entry, loaded, loaded.upload(entry.inputs))
    try:
        timed.call()
        timed.typical = timed.call()
    except RuntimeError as error:
        raise QuantuneError(f"{entry.vmfb} failed while running: {error}") from error
    return timed
