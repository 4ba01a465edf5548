"""Who else uses the processors: other programs, neighbours, our own threads that go on after their call."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

TASKS = Path("/proc/self/task")
PROCESSORS = Path("/proc/stat")
TOLERABLE = 0.03
"""Beyond that share of the time, latencies say more about the other programs than about the module."""
OFTEN = 0.2
"""Beyond that share of the time turns on slow cores are worth a warning."""


def waited_seconds(threads: int) -> float:
    """What all threads together have spent ready to run, without a core; 0 where the kernel does not tell.

    Where `threads` is 1, only what the caller has: an engine with a thread of its own shares the core with
    it, and one of the two waits whenever a call begins or ends. The second number of `/proc/…/schedstat`
    (Linux, Documentation/scheduler/sched-stats.rst).
    """
    total = 0
    for path in TASKS.glob(f"{threading.get_native_id() if threads == 1 else '*'}/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # threads come and go
            total += int(path.read_text().split()[1])
    return total / 1e9


def stolen_seconds() -> float:
    """What the host has taken from this machine's cores while they had work; 0 where the kernel is silent.

    The number `steal` of `/proc/stat` (Linux, Documentation/filesystems/proc.rst).
    """
    with contextlib.suppress(OSError, IndexError, ValueError):
        name, *ticks = PROCESSORS.read_text().partition("\n")[0].split()
        if name == "cpu":
            return int(ticks[7]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def lost_seconds(threads: int) -> float:
    """What other programs and other machines have kept from this one, summed over threads and cores."""
    return waited_seconds(threads) + stolen_seconds()


def others_run() -> bool:
    """Whether a thread of this process other than the caller runs; False where the kernel does not tell.

    Processor time would not do: the kernel brings it up to date at its ticks, some milliseconds apart.
    """
    own = str(threading.get_native_id())
    for path in TASKS.glob("*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if path.parent.name != own and path.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def warnings(waited: Sequence[float], slow: Sequence[float]) -> list[str]:
    """What to say about a run whose rows waited, and were slowed down, for these shares of their time."""
    found = []
    if (worst := max(waited, default=0.0)) > TOLERABLE:
        found.append(
            f"others kept this program from the processor for up to {worst:.0%} of the time: "
            "latencies and ratios are unreliable; measure again on an idle machine"
        )
    if (worst := max(slow, default=0.0)) > OFTEN:
        found.append(
            f"the processor was slow for {worst:.0%} of the time, as where machines share its cores or "
            "it runs hot: trust ratios, which compare what ran within a second or so, not milliseconds"
        )
    return found
