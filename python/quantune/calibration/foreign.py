"""Pictures that are unlike the rest of a calibration set: files in other units, above all.

Ranges follow them: one of 64 that is ten times too bright costs an int8 network up to 77 points of accuracy
(docs/results/ablation.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantune.calibration.statistics import Statistics

TIMES = 4.0
"""How much larger than usual: an all-white picture is three times what photos are, normalized as usual."""


@dataclass(frozen=True)
class Foreign:
    """One picture. index: in the calibration set. times: its root mean square over the pictures' median."""

    index: int
    times: float


def foreign(statistics: Statistics) -> list[Foreign]:
    """The pictures that exceed the usual one TIMES over, largest first."""
    images = statistics.samples["input"].astype(np.float64)
    sizes = np.sqrt(np.mean(images * images, axis=1))
    usual = float(np.median(sizes))
    if usual == 0:
        return []
    found = [Foreign(int(index), float(sizes[index] / usual)) for index in np.argsort(-sizes)]
    return [picture for picture in found if picture.times > TIMES]
