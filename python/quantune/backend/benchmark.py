"""Latencies of several modules that can be compared, because they were measured side by side."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from quantune.backend.contender import Contender, Ready
from quantune.backend.disturbance import lost_seconds, others_run, warnings
from quantune.backend.pace import NAP_SECONDS, Pace, bound_to, fastest
from quantune.errors import QuantuneError
from quantune.progress import Progress, Silent, stage
from quantune.targets import cpu

PACKAGES = (
    *("quantune", "iree-base-compiler", "iree-base-runtime", "torch-mlir", "torch", "numpy"),
    *("onnx", "onnxruntime", "openvino"),
)

# A turn is long enough to be timed well, and starts with an untimed call that refills the caches which the
# other modules emptied: a deployed model has them to itself. Beside a slow call, a refill is nothing.
TURN_SECONDS = 0.05
FEWEST_ROUNDS = 5
LONGEST_SPIN = 100  # naps
ATTEMPTS = 4
"""How often a turn is taken until the cores are fast before and after it."""


@dataclass(frozen=True)
class BenchRow:
    """Milliseconds a call: median, interquartile range and minimum over all calls; and the module's size.

    `turns_ms`: the median of each turn. Turns of the same round have the same index in all rows: their ratios
    say most where neighbours or heat change the processor's speed between rounds. `slow_turns`: the indices
    of those before or after which the cores were slow for their best. `disturbed`: the share of its time that
    it waited for cores which others used. `settings`: what the system was told that its figures depend on.
    """

    model: str
    system: str
    variant: str
    threads: int
    latency_ms: float
    spread_ms: float
    minimum_ms: float
    size_bytes: int
    turns_ms: Sequence[float] = ()
    slow_turns: Sequence[int] = ()
    disturbed: float = 0.0
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def slowed(self) -> float:
        """The share of its turns around which the cores were slow."""
        return len(self.slow_turns) / max(len(self.turns_ms), 1)


@dataclass(frozen=True)
class _Turn:
    """Seconds of its calls, those that others kept from it, and `Pace.seconds`, the worst around it."""

    calls: list[float]
    lost: float
    pace: float


@dataclass
class _Timed:
    """A loaded contender and its turns so far."""

    contender: Contender
    threads: int
    ready: Ready
    typical: float = 0.0
    turns: list[_Turn] = field(default_factory=list)

    def call(self) -> float:
        started = time.perf_counter()
        self.ready.call()
        return time.perf_counter() - started

    def turn(self, pace: Pace, until: float) -> None:
        """Adds a turn, of several attempts the one around which the cores were fastest."""
        attempts: list[_Turn] = []
        for _ in range(ATTEMPTS):
            attempts.append(self._attempt(pace, until))
            if not pace.slow(attempts[-1].pace) or time.perf_counter() >= until:
                break
        self.turns.append(min(attempts, key=lambda turn: turn.pace))

    def _attempt(self, pace: Pace, until: float) -> _Turn:
        _settle()
        start = pace.wait(until)
        if self.typical < TURN_SECONDS:
            self.call()
        before = lost_seconds(self.threads)
        calls = [self.call() for _ in range(max(1, int(TURN_SECONDS / self.typical)))]
        lost = max(0.0, lost_seconds(self.threads) - before)
        self.typical = min(self.typical, *calls)  # the calls that loading made may have been disturbed
        return _Turn(calls, lost, max(start, pace.seconds()))

    def row(self, pace: Pace) -> BenchRow:
        seconds = [call for turn in self.turns for call in turn.calls]
        low, median, high = (float(v) for v in np.percentile(seconds, (25, 50, 75)) * 1e3)
        lost = sum(turn.lost for turn in self.turns)
        return BenchRow(
            model=self.contender.model,
            system=self.contender.system,
            variant=self.contender.variant,
            threads=self.threads,
            latency_ms=median,
            spread_ms=high - low,
            minimum_ms=min(seconds) * 1e3,
            size_bytes=self.contender.size_bytes,
            turns_ms=[round(statistics.median(turn.calls) * 1e3, 5) for turn in self.turns],
            slow_turns=[index for index, turn in enumerate(self.turns) if pace.slow(turn.pace)],
            disturbed=round(min(1.0, lost / (self.threads * sum(seconds))), 4),
            settings=dict(self.ready.settings),
        )


def benchmark(
    contenders: Sequence[Contender],
    threads: Sequence[int] = (1,),
    rounds: int = 20,
    budget_seconds: float = 120.0,
    progress: Progress | None = None,
) -> list[BenchRow]:
    """Times contenders in one process, taking turns (A B C A B C …), so that clock drift hits all alike.

    Only what computes on as many threads is compared, so each count of `threads` has rounds of its own, and
    the network need not be loaded for all counts at once. Where all run on one thread, all run on one core,
    the fastest at the moment: cores may differ in what neighbours leave of them. (With other counts in the
    same process that cannot be: an engine would go on taking the machine for one with a single core.)

    A turn begins when the cores are as fast as they were at best, and is taken again, a few times, when they
    are not so any more at its end. Stops after `rounds`, or earlier when `budget_seconds` (for each count)
    are over and each contender had five turns. Raises QuantuneError if one does not load or its inputs do not
    fit.
    """
    listener = progress or Silent()
    rows: list[BenchRow] = []
    cores = [fastest(cpu.processors())] if set(threads) == {1} else list(cpu.processors())
    with bound_to(cores):
        for count in threads:
            on = f"{count} thread{'s' * (count > 1)}"
            with stage(listener, f"timing {len(contenders)} modules on {on}", rounds):
                pace = Pace(cores[:count])
                rows += _measure(contenders, count, rounds, budget_seconds, pace, listener)
    for said in warnings([row.disturbed for row in rows], [row.slowed for row in rows]):
        listener.note(f"warning: {said}")
    return rows


def _measure(
    contenders: Sequence[Contender],
    threads: int,
    rounds: int,
    budget_seconds: float,
    pace: Pace,
    progress: Progress,
) -> list[BenchRow]:
    timed = [_load(contender, threads) for contender in contenders]
    until = time.perf_counter() + budget_seconds
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and time.perf_counter() > until:
            break
        for module in timed:
            module.turn(pace, until)
        progress.advance()
    return [module.row(pace) for module in timed]


def _settle() -> None:
    """Waits until the threads of the turn before are asleep.

    Some runtimes' workers spin for tens of milliseconds in case another call comes, on the cores that the
    next contender needs.
    """
    for _ in range(LONGEST_SPIN):
        before = time.process_time()
        time.sleep(NAP_SECONDS)
        if time.process_time() - before < NAP_SECONDS / 4 and not others_run():
            return


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


def _load(contender: Contender, threads: int) -> _Timed:
    timed = _Timed(contender, threads, contender.load(threads))
    try:
        timed.call()
        timed.typical = timed.call()
    except RuntimeError as error:
        name = f"{contender.system} {contender.variant} of {contender.model}"
        raise QuantuneError(f"{name} failed while running: {str(error).splitlines()[0]}") from error
    return timed
