"""How fast the cores are at this moment: slower when a neighbour computes on the same ones, or they are hot.

A virtual machine's core is often one of two threads of a real one. What runs on the other is not ours to see,
but halves our speed, for milliseconds or minutes; the kernel counts none of it as waiting or stolen time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

STEPS = 10_000
SLOW = 1.25
"""How many times its least duration a fixed computation may take before something has slowed it down."""
PATIENCE_SECONDS = 0.5
NAP_SECONDS = 0.002
SAMPLES = 20


@dataclass
class Pace:
    """What the cores have done at best so far; `seconds` and `wait` measure the slowest of them."""

    cores: Sequence[int]
    best: float = float("inf")

    def seconds(self) -> float:
        """What a fixed computation takes now, some 0.1 ms."""
        found = max(seconds_on(core) for core in self.cores)
        self.best = min(self.best, found)
        return found

    def slow(self, seconds: float) -> bool:
        """Whether they had done better before, or have since."""
        return seconds > SLOW * self.best

    def wait(self, until: float) -> float:
        """`seconds`, once they are fast again or patience or time (of `time.perf_counter`) is over."""
        until = min(until, time.perf_counter() + PATIENCE_SECONDS)
        while self.slow(found := self.seconds()) and time.perf_counter() < until:
            time.sleep(NAP_SECONDS)
        return found


def seconds_on(core: int) -> float:
    """The least of three attempts: the first may have to warm up."""
    seconds = []
    with bound_to([core]):
        for _ in range(3):
            begin = time.perf_counter()
            for _ in range(STEPS):
                pass
            seconds.append(time.perf_counter() - begin)
    return min(seconds)


def fastest(cores: Sequence[int]) -> int:
    """The core that is most often undisturbed, of those given."""
    return min(cores, key=lambda core: sum(seconds_on(core) for _ in range(SAMPLES)))


@contextlib.contextmanager
def bound_to(cores: Sequence[int]) -> Iterator[None]:
    """The calling thread, and those that it starts, run on these cores only; no limit where not on Linux."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
