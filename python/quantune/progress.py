"""Progress without a terminal: drivers report steps, whoever listens draws them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """Hears about every step; `total` is None where the length is unknown."""

    def start(self, step: str, total: int | None = None) -> None: ...

    def advance(self, amount: int = 1) -> None: ...

    def finish(self) -> None: ...

    def note(self, message: str) -> None:
        """Something the user should read: a warning, a verdict."""
        ...


class Silent:
    """Listens to nothing."""

    def start(self, step: str, total: int | None = None) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        pass

    def finish(self) -> None:
        pass

    def note(self, message: str) -> None:
        pass


@contextlib.contextmanager
def stage(progress: Progress, step: str, total: int | None = None) -> Iterator[None]:
    """A step that lasts as long as the block, however that ends."""
    progress.start(step, total)
    try:
        yield
    finally:
        progress.finish()


def track(items: Iterable[T], step: str, total: int, progress: Progress) -> Iterator[T]:
    """Yields the items, reporting each as done once the next is asked for."""
    with stage(progress, step, total):
        for item in items:
            yield item
            progress.advance()
