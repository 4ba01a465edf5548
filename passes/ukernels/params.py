"""The layout of a kernel's parameters, read from the C header that defines it."""

from __future__ import annotations

import functools
import re
import struct
from pathlib import Path

import numpy as np

ALIGNMENT = 64


@functools.cache
def fields(header: str) -> tuple[str, ...]:
    """Names in the order of `<header>_params.h`."""
    text = (Path(__file__).parent / f"{header}_params.h").read_text()
    return tuple(re.findall(r"^ +FIELD\((\w+)\)", text, re.MULTILINE))


def pack_header(header: str, values: dict[str, int | float]) -> bytes:
    """One 32-bit word a field; floats as their bits. Raises KeyError for a missing or unknown field."""
    names = fields(header)
    if set(values) != set(names):
        raise KeyError(f"{header}: {sorted(set(values) ^ set(names))}")
    words = [struct.pack("<f" if isinstance(values[n], (float, np.floating)) else "<i", values[n]) for n in names]
    return b"".join(words)


def aligned(data: bytes) -> bytes:
    """Padded to a cache line."""
    return data + b"\0" * (-len(data) % ALIGNMENT)
