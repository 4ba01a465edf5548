"""Progress on standard error: bars on a terminal, a line a step elsewhere, only warnings with --json."""

from __future__ import annotations

import sys
import time
from typing import Any

from quantune.progress import Silent


class Quiet(Silent):
    """Keeps what the user should read, and prints it; standard output stays free for results."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @property
    def warnings(self) -> list[str]:
        return [note.removeprefix("warning: ") for note in self.notes]

    def note(self, message: str) -> None:
        """The same message is said once."""
        if message not in self.notes:
            self.notes.append(message)
            print(f"quantune: {message}", file=sys.stderr, flush=True)


class Lines(Quiet):
    """For logs."""

    def start(self, step: str, total: int | None = None) -> None:
        count = f" ({total})" if total is not None else ""
        print(f"{step}{count} …", file=sys.stderr, flush=True)


class Bars(Quiet):
    """For terminals: a bar while a step runs, a line with its time once it is done."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Any = None
        self._step, self._began = "", 0.0

    def start(self, step: str, total: int | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._close()
        counted = (BarColumn(), MofNCompleteColumn()) if total is not None else ()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *counted,
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bars.start()
        self._bars.add_task(step, total=total)
        self._step, self._began = step, time.monotonic()

    def advance(self, amount: int = 1) -> None:
        if self._bars is not None:
            self._bars.advance(self._bars.task_ids[0], amount)

    def finish(self) -> None:
        if self._bars is not None:
            self._close()
            print(f"{self._step}: {time.monotonic() - self._began:.1f} s", file=sys.stderr, flush=True)

    def note(self, message: str) -> None:
        self._close()
        super().note(message)

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def choose(as_json: bool) -> Quiet:
    """What fits this command's standard error."""
    if as_json:
        return Quiet()
    return Bars() if sys.stderr.isatty() else Lines()
