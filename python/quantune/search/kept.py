"""Finished parts of a replay, kept: each takes minutes, and follows from the trials and the code alone."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

from quantune.errors import QuantuneError
from quantune.files import cache_folder, read_json, write_json
from quantune.search.packages import DISTRIBUTIONS
from quantune.search.trials import Measured
from quantune.sources import digest

SOURCES = ("baselines.py", "features.py", "nested.py", "space.py", "surrogate.py")


def kept(kind: str, made_from: object, make: Callable[[], Any]) -> Any:
    """What `make` returns, JSON-able; from the user's cache if it is there. made_from: by its repr."""
    key = hashlib.sha256(repr((_code(), made_from)).encode()).hexdigest()[:20]
    path = cache_folder("search") / f"{kind}-{key}.json"
    try:
        return read_json(path)
    except QuantuneError:
        found = make()
        write_json(path, found)
        return found


def facts(measured: Measured) -> tuple[object, ...]:
    """All that a replay's result depends on, with a short repr."""
    scores = hashlib.sha256(np.ascontiguousarray(measured.scores).tobytes()).hexdigest()
    settings = hashlib.sha256(repr(measured.settings).encode()).hexdigest()
    return measured.model, sorted(measured.traits.items()), settings, scores


@functools.cache
def _code() -> tuple[str, ...]:
    code = digest(f"search/{name}" for name in SOURCES)
    return (code, *(importlib.metadata.version(name) for name in DISTRIBUTIONS))
