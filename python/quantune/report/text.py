"""Numbers as people read them: few digits, always a unit, a dash for what was not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NONE = "–"


def sanitized(value: Any) -> Any:
    """The same JSON without NaN and infinities, which become None: charts and parsers know neither."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): sanitized(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [sanitized(item) for item in value]
    return value


def shortened(value: Any, digits: int = 5) -> Any:
    """The same JSON with floats cut to `digits` significant digits: a plot cannot show more."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: shortened(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shortened(item, digits) for item in value]
    return value


def number(value: float | None, digits: int = 3) -> str:
    """Up to `digits` significant digits; integers in full."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def milliseconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{_three(value)} ms"


def microseconds(value: float | None) -> str:
    """Microseconds in; below a millisecond as µs."""
    if value is None:
        return NONE
    return f"{_three(value)} µs" if value < 999.5 else milliseconds(value / 1e3)


def _three(value: float) -> str:
    """About three digits, with their zeros, so that columns of times line up: 141, 27.6, 4.04, 0.440."""
    places = next((places for least, places in ((99.95, 0), (9.995, 1), (0.9995, 2)) if value >= least), 3)
    return f"{value:,.{places}f}"


def seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:,.1f} s"


def size(value: float | None) -> str:
    """Bytes in, decimal units out: 1 MB is a million bytes."""
    if value is None:
        return NONE
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.2f} {unit}" if value < 10 * factor else f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def count(value: float | None) -> str:
    """A large count in thousands (k), millions (M) or billions (G)."""
    if value is None:
        return NONE
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f}"


def percent(fraction: float | None) -> str:
    return NONE if fraction is None else f"{100 * fraction:.1f} %"


def decibels(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f} dB"


def times(ratio: float | None) -> str:
    """A ratio: 1.8x, or 12x where a second digit would be noise."""
    if ratio is None:
        return NONE
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x"


def shape(value: Sequence[Any] | None) -> str:
    return "×".join(str(extent) for extent in value) if value else NONE


def middle_cut(text: str, limit: int) -> str:
    """At most `limit` characters; what tells layers apart is often at both ends."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"
