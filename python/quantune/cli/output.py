"""Results on standard output: tables for people, or exactly one JSON document."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from quantune.cli.progress import choose

if TYPE_CHECKING:
    from rich.console import Console

# Without a terminal nothing says how wide a line may be; logs and files scroll.
WIDTH = 140
NARROW = 100


class Output:
    """What one command says. `progress` goes to standard error."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.progress = choose(as_json)

    def warn(self, message: str) -> None:
        self.progress.note(f"warning: {message}")

    def show(self, *things: Any) -> None:
        """Tables and lines for people; nothing with --json. Text is shown as it is, not as markup."""
        if not self.as_json:
            for thing in things:
                if isinstance(thing, str):
                    print(thing, flush=True)
                else:
                    self._print(thing)

    def result(self, value: dict[str, Any]) -> None:
        """The command's one JSON document, with the warnings that it gave."""
        if self.as_json:
            print(
                json.dumps(value | {"warnings": self.progress.warnings}, indent=1, allow_nan=False),
                flush=True,
            )

    def _print(self, table: Any) -> None:
        console = self.console
        if console.width < NARROW:
            from rich.box import SIMPLE_HEAD

            # else rich would cut the names of the rows off
            table.box, table.pad_edge, table.padding = SIMPLE_HEAD, False, (0, 1, 0, 0)
        console.print(table)

    @property
    def console(self) -> Console:
        from rich.console import Console

        class Honest(Console):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # rich would exit with 1; `quantune … | head` is no failure

        return Honest(width=None if sys.stdout.isatty() else WIDTH)
