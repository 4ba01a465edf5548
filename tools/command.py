"""What every tool does: item after item, and an end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from quantune.errors import QuantuneError

T = TypeVar("T")


def for_each(items: Sequence[T], do: Callable[[T], None], title: Callable[[T], str] = str) -> int:
    """Does it for every item and says which; a user's mistake is one line and does not stop the rest.

    Returns the exit code: 1 where any failed.
    """
    failed = 0
    for number, item in enumerate(items, 1):
        print(f"[{number}/{len(items)}] {title(item)}", file=sys.stderr, flush=True)
        try:
            do(item)
        except QuantuneError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            failed = 1
    return failed


def finish(main: Callable[[], int]) -> NoReturn:
    """Runs `main` and exits with its code; with 130 on Ctrl-C, with 1 and one line for a user's mistake."""
    try:
        sys.exit(main())
    except QuantuneError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
