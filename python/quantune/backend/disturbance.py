"""Who else uses the processors: other programs, and threads of this one that go on after their call."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

TASKS = Path("/proc/self/task")
TOLERABLE = 0.03
"""Beyond that share of the time, latencies say more about the other programs than about the module."""


def waited_seconds() -> float:
    """What all threads together have spent ready to run, without a core; 0 where the kernel does not tell.

    The second number of `/proc/…/schedstat` (Linux, Documentation/scheduler/sched-stats.rst).
    """
    total = 0
    for path in TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # threads come and go
            total += int(path.read_text().split()[1])
    return total / 1e9


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


def warning(shares: list[float]) -> str | None:
    """What to say about a run whose rows waited these shares of their time; None if it was quiet enough."""
    worst = max(shares, default=0.0)
    if worst <= TOLERABLE:
        return None
    return (
        f"other programs kept this one from the processor for up to {worst:.0%} of the time: "
        "latencies and ratios are unreliable; measure again on an idle machine"
    )
