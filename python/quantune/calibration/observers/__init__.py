"""From a histogram to the range worth quantizing: one file an observer, each with `range(histogram, bits)`.

Every range includes 0; a value that is nowhere negative keeps 0 as its lower end exactly, and likewise above.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from quantune.calibration.histogram import Histogram
from quantune.calibration.observers import entropy, min_max, mse, percentile
from quantune.errors import QuantuneError

Observer = Callable[[Histogram, int], tuple[float, float]]

OBSERVERS: dict[str, Observer] = {
    "min-max": min_max.range,
    "percentile": percentile.range,
    "entropy": entropy.range,
    "mse": mse.range,
}


def find(name: str) -> Observer:
    """Raises QuantuneError listing near matches for an unknown name."""
    if name in OBSERVERS:
        return OBSERVERS[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), OBSERVERS, cutoff=0.4) or list(OBSERVERS)
    raise QuantuneError(f"unknown observer {name!r}; did you mean {' or '.join(near)}?")


__all__ = ["OBSERVERS", "Observer", "find"]
