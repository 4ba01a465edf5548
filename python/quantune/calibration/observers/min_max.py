"""The whole range seen, and 0."""

from __future__ import annotations

from quantune.calibration.histogram import Histogram
from quantune.errors import QuantuneError


def range(histogram: Histogram, bits: int) -> tuple[float, float]:
    """(min(minimum, 0), max(maximum, 0)). Raises QuantuneError when nothing was observed."""
    if histogram.count == 0:
        raise QuantuneError(f"value {histogram.name or '?'} was never observed; give calibration data")
    return min(histogram.minimum, 0.0), max(histogram.maximum, 0.0)
