"""EfficientNet-Lite0 with ImageNet weights: agreement with fp32 on all photos that packages carry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import accuracy_case
from accuracy_photos_others import BITS, runners
from quantune.backend.runner import HostRunner
from quantune.data import Dataset
from quantune.ingress.model import Model
from quantune.job import Job
from quantune.job.data import pictures_for
from quantune.job.evaluate import evaluate
from quantune.job.folder import JobOptions, start_job
from quantune.plan.budget import Goal, parse_budgets
from quantune.plan.schema import Plan
from quantune.plan.strategies import sized
from quantune.plan.strategies.allocation import MENU, average_bits
from quantune.progress import Progress

SPEC = "zoo:efficientnet_lite0"
FOLDER = accuracy_case.RUNS / "efficientnet_lite0"
CALIBRATION, CALIBRATION_IMAGES = "package:scikit-image", 10
WHOLE = "/0"
"""How the first cut of each of scikit-image's photos is called: it is the whole photo."""
SIZE = 6.0
"""Average weight bits of the mixed plan by size."""
TIMES = (0.35, 0.5)
"""Of fp32's predicted time, for mixed plans by time: a fifth more than int8 takes, and half of fp32's."""
Row = dict[str, Any]


def plans(job: Job) -> dict[str, Plan]:
    """Row → plan: int8, the same with its biases left alone, and mixed ones by time and by size."""
    request = job.request(MENU)
    int8 = job.plan("uniform-int8")
    return {
        "int8": int8,
        "int8, no bias correction": dataclasses.replace(
            int8, settings=dataclasses.replace(int8.settings, bias_correction=False)
        ),
        "v2": job.plan("v2"),
        **{
            f"integer program, {time:g}x of fp32's time": job.plan(
                "milp", goal=Goal(parse_budgets([f"latency={time:g}x"]))
            )
            for time in TIMES
        },
        f"v2 at {SIZE:g} bits": sized.plan(request, SIZE),
        "uniform 6 bits": job.plan("uniform-w6"),
    }


def data_sets(model: Model) -> list[Dataset]:
    """All photos that packages carry, and of those that are cut the whole ones by themselves."""
    cuts, labelled = (pictures_for(model, f"package:{name}") for name in ("scikit-image", "foolbox"))
    whole = cuts.without([name for name in cuts.names if not name.endswith(WHOLE)])
    return [cuts, dataclasses.replace(whole, description=f"these {len(whole)} photos whole"), labelled]


def measure(progress: Progress, folder: Path = FOLDER) -> list[Row]:
    """A row for each set of photos and variant, ours first; modules are cached by the job.

    Raises QuantuneError when a package or the weights are missing.
    """
    options = JobOptions(SPEC, CALIBRATION, images=CALIBRATION_IMAGES, costs="modelled")
    job = start_job(options, folder, progress)
    wanted = plans(job)
    fp32 = HostRunner(job.build("fp32", None).path)
    ours = {
        name: HostRunner(job.build(f"photos-{number}", plan).path)
        for number, (name, plan) in enumerate(wanted.items())
    }
    others = runners(SPEC, job.calibration, fp32.signature, folder / "cache")
    rows = []
    for data in data_sets(job.model):
        found = evaluate({"fp32": fp32, **ours, **others}, data, progress)
        for name, plan in wanted.items():
            floats = sum(c.precision == "float" for c in plan.layers.values())
            rows.append(_row(name, found[name], average_bits(job.model.graph, plan), floats))
        rows += [_row(name, found[name], BITS.get(name, 8.0), None) for name in others]
    return rows


def _row(name: str, found: Row, bits: float, float_layers: int | None) -> Row:
    kept = {key: found[key] for key in ("images", "data", "agreement", "sqnr_db", "top1", "fp32_top1")}
    return {"variant": name, **kept, "average_bits": bits, "float_layers": float_layers}
