"""Timing in turns, and what disturbs it: other programs, the host of a virtual machine, slow cores."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from quantune.backend import benchmark, disturbance, pace
from quantune.backend.contender import Ready
from quantune.errors import QuantuneError


@dataclass(frozen=True)
class Written:
    """A contender whose calls write its name down; a call lasts as long as a whole turn."""

    variant: str
    calls: list[tuple[str, int]]
    model: str = "toy"
    system: str = "paper"
    size_bytes: int = 1

    def load(self, threads: int) -> Ready:
        def call() -> None:
            self.calls.append((self.variant, threads))
            time.sleep(benchmark.TURN_SECONDS)

        return Ready(call, {"threads": str(threads)})


def made_pace(monkeypatch: pytest.MonkeyPatch, seconds: Iterable[float]) -> None:
    """What the cores need for the fixed computation, before and after every turn in order."""
    found = iter(seconds)
    monkeypatch.setattr(pace, "seconds_on", lambda core: next(found))
    monkeypatch.setattr(benchmark, "fastest", min)
    monkeypatch.setattr(pace, "PATIENCE_SECONDS", 0.0)


def test_contenders_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls each to warm up, then A B C A B C, for one count of threads after the other."""
    made_pace(monkeypatch, itertools.repeat(1.0))
    calls: list[tuple[str, int]] = []
    rows = benchmark.benchmark([Written(name, calls) for name in "ABC"], threads=(2, 1), rounds=2)
    order = [[(name, threads) for name in "AABBCC" + "ABC" * 2] for threads in (2, 1)]
    assert calls == order[0] + order[1]
    assert [(row.variant, row.threads, row.settings) for row in rows] == [
        (name, threads, {"threads": str(threads)}) for threads in (2, 1) for name in "ABC"
    ]


def test_a_disturbed_start_does_not_shorten_the_turns() -> None:
    """Slow while loading, then fast: from the second turn on there are as many calls as fit 50 ms."""
    seconds = iter([benchmark.TURN_SECONDS] * 2)
    calls: list[tuple[str, int]] = []

    class Disturbed(Written):
        def load(self, threads: int) -> Ready:
            def call() -> None:
                self.calls.append((self.variant, threads))
                time.sleep(next(seconds, benchmark.TURN_SECONDS / 20))

            return Ready(call)

    benchmark.benchmark([Disturbed("A", calls)], rounds=3)
    loading, first, warm_up = 2, 1, 1
    assert len(calls) > loading + first + 2 * (warm_up + 3)


def test_a_contender_that_fails_is_named() -> None:
    class Broken(Written):
        def load(self, threads: int) -> Ready:
            def call() -> None:
                raise RuntimeError("out of paper\nand more")

            return Ready(call)

    with pytest.raises(QuantuneError, match=r"^paper A of toy failed while running: out of paper$"):
        benchmark.benchmark([Broken("A", [])])


def test_waiting_for_a_busy_core_is_noticed() -> None:
    """Two processes on one core: each waits about half the time."""
    if not disturbance.TASKS.exists() or disturbance.waited_seconds(1) == 0.0:
        pytest.skip("this kernel keeps no statistics of waiting")
    spin = [sys.executable, "-c", "while True: pass"]
    with pace.bound_to([min(os.sched_getaffinity(0))]):
        rival = subprocess.Popen(spin)
        try:
            before, until = disturbance.waited_seconds(1), time.perf_counter() + 0.5
            while time.perf_counter() < until:
                pass
            assert disturbance.waited_seconds(1) - before > 0.1
        finally:
            rival.kill()
            rival.wait()


def test_on_one_thread_only_the_waiting_of_the_caller_counts() -> None:
    """Two threads that share a core with each other, not with the caller, which sleeps."""
    if not disturbance.TASKS.exists() or disturbance.waited_seconds(2) == 0.0:
        pytest.skip("this kernel keeps no statistics of waiting")
    compute = functools.partial(hashlib.pbkdf2_hmac, "sha256", b"a", b"b", 400_000)
    with pace.bound_to([min(os.sched_getaffinity(0))]):
        threads = [threading.Thread(target=compute) for _ in range(2)]
        for thread in threads:
            thread.start()
        before = disturbance.waited_seconds(2), disturbance.waited_seconds(1)
        time.sleep(0.1)
        found = disturbance.waited_seconds(2) - before[0], disturbance.waited_seconds(1) - before[1]
        for thread in threads:
            thread.join()
    assert found[0] > 0.03 and found[1] < found[0] / 2


def test_time_that_the_host_takes_is_read_from_the_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(disturbance, "PROCESSORS", tmp_path / "stat")
    ticks = os.sysconf("SC_CLK_TCK")
    for text, seconds in (
        (f"cpu  9 9 9 9 9 9 9 {3 * ticks} 0 0\ncpu0 1 1 1 1 1 1 1 {ticks} 0 0\n", 3.0),
        ("cpu  9 9 9 9\n", 0.0),  # kernels before 2.6.11
        ("intr 1 2 3 4 5 6 7 8 9\n", 0.0),
    ):
        (tmp_path / "stat").write_text(text)
        assert disturbance.stolen_seconds() == seconds
    monkeypatch.setattr(disturbance, "PROCESSORS", tmp_path / "missing")
    assert disturbance.stolen_seconds() == 0.0


def test_a_disturbed_run_says_so() -> None:
    assert disturbance.warnings([0.0, 0.01], [0.1]) == []
    (waiting,) = disturbance.warnings([0.0, 0.4], [0.1])
    assert "up to 40% of the time" in waiting
    (slow,) = disturbance.warnings([0.0], [0.1, 0.5])
    assert "slow for 50% of the time" in slow and "trust ratios" in slow


def test_turns_on_slow_cores_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their speed halves around two of B's turns of four; slightly more or less is no matter."""
    a, fine, before, after = [1.1, 1.0], [1.2, 1.0], [2.0, 1.0], [1.1, 2.0]
    made_pace(monkeypatch, itertools.chain(*[a, fine, a, before, a, after, a, fine]))
    monkeypatch.setattr(benchmark, "ATTEMPTS", 1)
    rows = benchmark.benchmark([Written(name, []) for name in "AB"], rounds=4)
    assert [list(row.slow_turns) for row in rows] == [[], [1, 2]]
    assert [row.slowed for row in rows] == [0.0, 0.5]


def test_a_turn_on_slow_cores_is_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is slow at first and fast then, the third remains slow: the best of its attempts counts."""
    third = [2.0, 2.0, 1.5, 1.6, 1.7, 2.0, 2.0, 2.0]
    made_pace(monkeypatch, [1.0, 1.0, 1.0, 2.0, 1.0, 1.1, *third])
    calls: list[tuple[str, int]] = []
    (row,) = benchmark.benchmark([Written("A", calls)], rounds=3)
    assert list(row.slow_turns) == [2] and len(row.turns_ms) == 3
    assert len(calls) == 2 + 1 + 2 + 4, "loading calls twice"


def test_time_to_wait_for_slow_cores_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made_pace(monkeypatch, itertools.chain([1.0, 1.0], itertools.repeat(2.0)))
    calls: list[tuple[str, int]] = []
    benchmark.benchmark([Written("A", calls)], rounds=3, budget_seconds=0)
    assert len(calls) == 2 + 3


def test_slow_cores_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 2.0, 2.0, 1.1, 9.0])
    monkeypatch.setattr(pace, "seconds_on", lambda core: next(seconds))
    cores = pace.Pace([0])
    assert [cores.wait(time.perf_counter() + 60) for _ in range(2)] == [1.0, 1.1]


def test_the_slowest_of_the_cores_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "seconds_on", lambda core: [3.0, 1.0, 2.0][core])
    assert pace.Pace([1, 2]).seconds() == 2.0
    assert pace.fastest([0, 1, 2]) == 1


def test_all_that_runs_on_one_thread_runs_on_one_core() -> None:
    """Also what an engine starts; with more threads, and afterwards, everything may go where it likes."""
    seen: list[frozenset[int]] = []

    class Threaded(Written):
        def load(self, threads: int) -> Ready:
            thread = threading.Thread(target=lambda: seen.append(frozenset(os.sched_getaffinity(0))))
            thread.start()
            thread.join()
            return super().load(threads)

    allowed = frozenset(os.sched_getaffinity(0))
    benchmark.benchmark([Threaded(name, []) for name in "AB"], rounds=1)
    assert len(seen[0]) == 1 and seen[0] == seen[1] and os.sched_getaffinity(0) == allowed
    benchmark.benchmark([Threaded("A", [])], threads=(1, 2), rounds=1)
    assert seen[2:] == [allowed, allowed]


def test_the_fixed_computation_takes_time() -> None:
    assert 0 < pace.seconds_on(min(os.sched_getaffinity(0))) < 1


def test_the_next_turn_waits_for_spinning_threads() -> None:
    """A thread that burns a core after the call is over has stopped when the next contender is timed."""
    until = [0.0]

    def spin() -> None:
        while time.perf_counter() < until[0]:
            pass

    until[0] = time.perf_counter() + 0.05
    thread = threading.Thread(target=spin)
    thread.start()
    benchmark._settle()
    assert time.perf_counter() >= until[0]
    thread.join()


@pytest.mark.skipif(not disturbance.TASKS.exists(), reason="not Linux")
def test_a_thread_that_spins_outside_python_is_seen() -> None:
    """As the workers of some engines do; its processor time is not up to date."""
    thread = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"a", b"b", 400_000))
    thread.start()
    time.sleep(0.01)
    seen = disturbance.others_run()
    finished = not thread.is_alive()
    thread.join()
    assert seen or finished
