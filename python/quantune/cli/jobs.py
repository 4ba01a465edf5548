"""What the commands do alike with jobs: begin one with its warnings, measure, keep metrics.json complete."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantune.cli.output import Output
from quantune.errors import QuantuneError
from quantune.progress import stage

if TYPE_CHECKING:
    from quantune.backend.contender import Contender
    from quantune.calibration.statistics import Statistics
    from quantune.job import Job
    from quantune.job.folder import JobOptions
    from quantune.job.modules import Built
    from quantune.plan.schema import Plan

JOBS = Path("build/jobs")
"""Where the commands that are given no output folder keep what they compute."""
VARIANTS = {
    "fp32": "fp32",
    "int8": "uniform-int8",
    "w7": "uniform-w7",
    "w6": "uniform-w6",
    "w4": "uniform-w4",
    "v2": "v2",
    "milp": "milp",
}
"""Variant → the strategy that makes it."""


def variant_of(strategy: str) -> str:
    """The name of the variant that a strategy makes."""
    return next(variant for variant, maker in VARIANTS.items() if maker == strategy)


def default_folder(model: str, target: str = "host") -> Path:
    """build/jobs/<model>, one folder a target."""
    name = re.sub(r"[^\w@.+-]+", "_", model.removeprefix("zoo:")).strip("._")
    return JOBS / (name if target == "host" else f"{name}-{target}")


def is_folder(argument: str) -> bool:
    """Whether a MODEL-or-DIR is a folder; raises QuantuneError for what looks like one that is missing."""
    path = Path(argument)
    if path.is_dir():
        return True
    if not argument.startswith("zoo:") and not re.search(
        r"\.(py:\w+|py|pt2|mlir|mlirbc|pt|pth|safetensors|ckpt)$", argument
    ):
        raise QuantuneError(
            f"{argument} is neither a folder made by `quantune compile` nor a model "
            "(zoo:NAME, file.py:factory, file.pt2, file.mlir)"
        )
    return False


def begin(options: JobOptions, folder: Path, output: Output, all_images: bool = False) -> Job:
    """The job, with a warning where its figures will mean less than they seem to.

    all_images: fewer calibration pictures than `options.images` are an error.
    """
    from quantune.job.folder import start_job

    job = start_job(options, folder, output.progress)
    if all_images and options.images is not None and len(job.calibration) < options.images:
        raise QuantuneError(
            f"--images {options.images}: {options.calibration} has {len(job.calibration)}; ask for fewer"
        )
    warn_of_random(job, options.calibration, output)
    return job


def build_variants(
    job: Job, variants: Sequence[str], shipped: str, plan: Plan, max_drop_sqnr_db: float | None = None
) -> dict[str, Built]:
    """Compiles fp32, which all are compared with, then `variants` by name, last `shipped` by its plan."""
    others = [name for name in ("fp32", *variants) if name != shipped]
    plans = {
        name: None if name == "fp32" else job.plan(VARIANTS[name], max_drop_sqnr_db=max_drop_sqnr_db)
        for name in others
    }
    built = {name: job.build(name, decided) for name, decided in plans.items()}
    built[shipped] = job.build(shipped, None if shipped == "fp32" else plan, with_text=True)
    return built


def warn_of_random(job: Job, data: str, output: Output) -> None:
    """Untrained weights, made-up calibration data."""
    if not job.model.trained:
        output.warn(
            f"the weights of {job.model.spec} are random, not trained: speed and size are real, accuracy "
            "is not; give trained ones with --weights"
        )
    if job.calibration.is_random:
        output.warn(
            f"{data} is noise: ranges and accuracy will differ on real images; "
            "calibrate on images like those in use"
        )


def warn_of_foreign(job: Job, statistics: Statistics, output: Output) -> None:
    """Calibration pictures that are unlike all others."""
    from quantune.calibration.foreign import foreign

    if found := foreign(statistics):
        many = f"{len(found)} of {len(job.calibration)} calibration images"
        output.warn(
            f"{many} are up to {found[0].times:.3g} times as large in value as the others "
            f"({job.calibration.names[found[0].index]} most of all): ranges follow them, and all others get "
            "few levels; leave them out if they are in other units, or try --observer entropy"
        )


def warn_of_outliers(job: Job, plan: Plan, output: Output) -> None:
    """Foreign pictures, and where almost nothing but outliers is stored: SQNR, which they rule, is blind."""
    from quantune.plan.boundaries import integer_values
    from quantune.plan.vanished import vanished

    graph = job.model.graph
    if not (stored := integer_values(graph, plan)):
        return
    statistics = job.statistics()
    warn_of_foreign(job, statistics, output)
    found = vanished(graph, statistics, stored)
    if found:
        worst = found[0]
        what = "the calibration images" if worst.name in graph.inputs else f"the value {worst.name}"
        others = f" (and so it goes with {', '.join(value.name for value in found[1:])})" if found[1:] else ""
        output.warn(
            f"{what} reach {worst.largest:.3g} where half of all numbers are below {worst.usual:.3g}: stored "
            f"in integers, {worst.share:.1%} of them become 0{others}; look for outliers in calibration "
            "images and weights, or make the layers around it float in the plan"
        )


def benchmarked(
    job: Job,
    variants: Sequence[str],
    threads: Sequence[int],
    rounds: int,
    iree: Sequence[str],
    profile: bool,
    peers: Sequence[Contender] = (),
) -> dict[str, Any]:
    """The sections "benchmark" and "dispatches" of the metrics.

    Dispatches are profiled when asked for, and where a quantized variant turns out slower than fp32, or the
    fastest slower than a peer: then the verdicts name what costs it.
    """
    from quantune.report.verdicts import slow_variants

    found = job.benchmark(variants, threads, iree, rounds, peers)
    slow = slow_variants({"benchmark": found})
    chosen = list(dict.fromkeys(("fp32", *variants))) if profile else ["fp32", *slow] if slow else []
    return {"benchmark": found, "dispatches": {name: _dispatches(job, name) for name in chosen}}


def _dispatches(job: Job, variant: str) -> list[dict[str, Any]]:
    from quantune.backend.dispatches import time_dispatches

    with stage(job.progress, f"profiling the dispatches of {variant}"):
        return [
            asdict(found) | ({"layer": found.layer} if found.layer else {})
            for found in time_dispatches(job.variant_path(variant))
        ]


def assembled(job: Job, plan: Plan, built: dict[str, Built]) -> dict[str, Any]:
    """The metrics of what was compiled, as JSON reads them back."""
    from quantune.job import metrics
    from quantune.plan.strategies import INFORMED

    statistics = job.statistics()
    known = plan.strategy in INFORMED or (job.folder / "sensitivity.json").exists()
    sensitivity = job.sensitivity(statistics) if known else None
    found: dict[str, Any] = json.loads(json.dumps(metrics.assemble(job, plan, built, sensitivity)))
    return found


def measured_before(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """What metrics.json holds beyond `found`, if it is about the same modules; else nothing."""
    from quantune.job import metrics

    try:
        old = metrics.load(folder)
    except QuantuneError:
        return {}
    same = all(old.get(section) == value for section, value in found.items())
    return {section: value for section, value in old.items() if section not in found} if same else {}


def merged_evaluation(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Results on the same data are kept beside each other; results on other data are replaced."""
    data = {(result["data"], result["images"]) for result in new.values()}
    return {name: r for name, r in old.items() if (r.get("data"), r.get("images")) in data} | new


def write_metrics(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Writes metrics.json with the verdicts that follow from it; returns what was written."""
    from quantune.files import write_json
    from quantune.report.verdicts import verdicts

    if found.get("benchmark"):
        found = found | {"benchmark": found["benchmark"] | {"verdicts": verdicts(found)}}
    write_json(folder / "metrics.json", found)
    return found
