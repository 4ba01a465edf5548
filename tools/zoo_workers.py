"""Several models in training side by side, one process and one thread each, on one display."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from quantune.errors import QuantuneError

Report = Callable[["Event"], None]
Task = Callable[[str, Report], None]


@dataclass(frozen=True)
class Event:
    """What a worker tells about the model `name`.

    kind: "steps" (value: how many more are done), "epoch" (value: (epoch, accuracy)), "done" (value: whatever
    the task hands over) or "failed" (value: why, one line).
    """

    name: str
    kind: str
    value: Any


def run_all(names: Sequence[str], task: Task, at_once: int) -> Iterator[Event]:
    """Runs `task(name, report)` for every name, `at_once` at a time in the order given; yields the reports.

    Ends the processes on Ctrl-C. A worker that dies without a word is reported as failed.
    """
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    waiting, running = list(names), dict[str, BaseProcess]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name = waiting.pop(0)
                running[name] = context.Process(target=_work, args=(name, task, events), daemon=True)
                running[name].start()
            try:
                event = events.get(timeout=1.0)
            except queue.Empty:
                event = _died(running, events)
            if event is None:
                continue
            if event.kind in ("done", "failed"):
                running.pop(event.name).join()
            yield event
    finally:
        for process in running.values():
            process.terminate()
            process.join()


def _died(running: dict[str, BaseProcess], events: Any) -> Event | None:
    for name, process in running.items():
        if not process.is_alive() and events.empty():
            return Event(name, "failed", f"the process ended with {process.exitcode} (out of memory?)")
    return None


def _work(name: str, task: Task, events: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, and half-written files go
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        task(name, events.put)
    except QuantuneError as error:
        events.put(Event(name, "failed", str(error)))


class Display:
    """A bar per model on a terminal, a line per epoch elsewhere; both on standard error."""

    def __init__(self, totals: dict[str, int]) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskID,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._began = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._totals = totals
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, event: Event) -> None:
        if event.name not in self._tasks:
            self._tasks[event.name] = self._bars.add_task(event.name, total=self._totals[event.name])
        if event.kind == "steps":
            self._bars.advance(self._tasks[event.name], event.value)
        elif event.kind == "epoch":
            epoch, accuracy = event.value
            text = f"{event.name} epoch {epoch}: {accuracy:.2%} of the validation pictures"
            self._bars.update(self._tasks[event.name], description=text)
            if not sys.stderr.isatty():
                print(f"[{time.monotonic() - self._began:6.0f} s] {text}", file=sys.stderr, flush=True)
