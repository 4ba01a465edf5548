"""Other programs, run so that they cannot outlive, outgrow or surprise us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Outcome:
    """How a program ended; `returncode` is negative for a signal, memory is what was resident."""

    returncode: int
    seconds: float
    peak_memory_bytes: int
    timed_out: bool


def run(
    command: Sequence[str | Path],
    stdout: Path,
    stderr: Path,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Runs `command` with its output in files, which unlike pipes cannot fill up.

    The program gets a process group of its own. Whatever ends this function early (Ctrl-C, `timeout`
    seconds over) kills that group, so linkers that the program started go too.
    """
    started = time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    peak, timed_out = 0, False
    with stdout.open("wb") as out, stderr.open("wb") as err:
        try:
            with _interrupts_held():
                process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            while not timed_out:
                peak = max(peak, _high_water(process.pid))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                    break
                timed_out = timeout is not None and time.monotonic() - started > timeout
        finally:
            with _interrupts_held():
                if process is not None and process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
    return Outcome(process.returncode, time.monotonic() - started, peak, timed_out)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Puts Ctrl-C off until the end of the block.

    An interrupt inside Popen would leave a program running that nobody has a handle to, and in a session of
    its own the terminal's Ctrl-C does not reach it either. Masking the signal would not do: another thread
    then takes it, and Python still raises in the main one.
    """
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:
        yield  # Python raises KeyboardInterrupt in the main thread only
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held:
            signal.raise_signal(signal.SIGINT)


def _high_water(pid: int) -> int:
    """Peak resident bytes so far of a running process, 0 once it has gone.

    Polled, because `ru_maxrss` of a child starts at the size that its parent had when it was forked, and
    ours may have a whole network in memory.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
