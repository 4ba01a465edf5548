"""The layout of a kernel's parameters, read from the C header that defines it."""

from __future__ import annotations

import functools
import math
import re
import struct
from pathlib import Path

from quantune.numerics.epilogue import Epilogue

ALIGNMENT = 64
FOLDER = Path(__file__).parent


@functools.cache
def fields(header: str) -> tuple[str, ...]:
    """Names in the order of `<header>_params.h`, its lists of image_params.h included."""
    return _listed((FOLDER / f"{header}_params.h").read_text())


def _listed(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for name, shared in re.findall(r"^ +(?:FIELD\((\w+)\)|(\w+_FIELDS)\(FIELD\))", text, re.MULTILINE):
        found += _listed(_shared(shared)) if shared else [name]
    return tuple(found)


def _shared(name: str) -> str:
    """The lines of one list of image_params.h."""
    text = (FOLDER / "image_params.h").read_text()
    return text.partition(f"#define {name}(FIELD)")[2].partition("\n\n")[0]


class Blob:
    """A kernel's constant: the header, then sections at offsets that the header names."""

    def __init__(self, header: str) -> None:
        self._header = header
        self._sections = b""
        self._start = _aligned(4 * len(fields(header)))

    def add(self, data: bytes) -> int:
        """Appends a section on a cache line of its own; returns its byte offset."""
        offset = self.end
        self._sections += data + b"\0" * (_aligned(len(data)) - len(data))
        return offset

    @property
    def end(self) -> int:
        """Where the next section will start."""
        return self._start + len(self._sections)

    def finish(self, values: dict[str, int | float]) -> bytes:
        """The whole constant; one 32-bit word a field, floats as their bits.

        Raises KeyError for a missing or unknown field.
        """
        names = fields(self._header)
        if set(values) != set(names):
            raise KeyError(f"{self._header}: {sorted(set(values) ^ set(names))}")
        words = [struct.pack("<f" if isinstance(values[n], float) else "<i", values[n]) for n in names]
        header = b"".join(words)
        return header + b"\0" * (self._start - len(header)) + self._sections


def epilogue_fields(epilogue: Epilogue, residual_f32: bool) -> dict[str, int | float]:
    """The fields that every integer epilogue has."""
    return {
        "out_f32": int(epilogue.output is None),
        "residual_f32": int(residual_f32),
        "residual_multiplier": float(epilogue.residual_multiplier or 0),
        "low": -math.inf if epilogue.low is None else float(epilogue.low),
        "high": math.inf if epilogue.high is None else float(epilogue.high),
    }


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
