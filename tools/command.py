"""How every tool ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from quantune.errors import QuantuneError


def finish(main: Callable[[], int]) -> NoReturn:
    """Runs `main` and exits with its code; with 130 on Ctrl-C, with 1 and one line for a user's mistake."""
    try:
        sys.exit(main())
    except QuantuneError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
