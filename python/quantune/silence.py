"""Standard output without what libraries in C print there: it belongs to our results."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """While the block runs, file descriptor 1 leads nowhere; C's buffer is emptied before it leads back."""
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.flush()
    libc.fflush(None)
    try:
        kept = os.dup(1)
    except OSError:  # closed: nothing can be printed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        libc.fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
