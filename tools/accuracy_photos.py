"""EfficientNet-Lite0 with ImageNet weights: agreement with fp32 on all photos that packages carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accuracy_case
from quantune.data.sources import load_dataset
from quantune.job.folder import JobOptions, start_job
from quantune.plan.strategies import find, sized
from quantune.plan.strategies.allocation import MENU, average_bits
from quantune.progress import Progress

SPEC = "zoo:efficientnet_lite0"
FOLDER = accuracy_case.RUNS / "efficientnet_lite0"
CALIBRATION, CALIBRATION_IMAGES = "package:scikit-image", 20
PACKAGES = ("package:scikit-image", "package:foolbox")
SIZE = 6.0
"""Average weight bits of the mixed plan by size."""
Row = dict[str, Any]


def measure(progress: Progress, folder: Path = FOLDER) -> list[Row]:
    """A row for each package and variant; modules are cached by the job.

    Raises QuantuneError when a package or the weights are missing.
    """
    options = JobOptions(SPEC, CALIBRATION, images=CALIBRATION_IMAGES, costs="cached")
    job = start_job(options, folder, progress)
    request = job.request(MENU)
    plans = {
        "int8": find("uniform-int8")(request),
        "v2": job.plan("v2"),
        f"v2 at {SIZE:g} bits": sized.plan(request, SIZE),
        "uniform 6 bits": find("uniform-w6")(request),
    }
    variants = {name: name.replace(" ", "-") for name in plans}
    job.build("fp32", None)
    for name, plan in plans.items():
        job.build(variants[name], plan)
    rows = []
    for package in PACKAGES:
        channels, height, width = job.model.input_shape[1:]
        data = load_dataset(package, job.model.preprocessing, (channels, height, width))
        found = job.evaluate(list(variants.values()), data)
        for name, plan in plans.items():
            kept = ("images", "data", "agreement", "sqnr_db", "top1", "fp32_top1")
            rows.append(
                {"variant": name, **{key: found[variants[name]][key] for key in kept}}
                | {"average_bits": average_bits(job.model.graph, plan)}
            )
    return rows
