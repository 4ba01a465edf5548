"""`quantune bench`: latency and size, side by side, with plain IREE on the float model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import jobs, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.job import Job

EXAMPLES = """Examples:

quantune bench out --threads 1 --dispatches

quantune bench zoo:resnet18 zoo:mobilenet_v2 --calibration photos/ --json"""

RANDOM = "random:4"


def command(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL-or-DIR...",
            help="models, or output folders of `quantune compile`",
            show_default=False,
        ),
    ],
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="worker threads")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="turns that each module gets")] = 20,
    calibration: Annotated[
        str, typer.Option("--calibration", metavar="DATA", help="for models; a folder has its own")
    ] = RANDOM,
    dispatches: Annotated[
        bool, typer.Option("--dispatches", help="time every dispatch of every variant")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Time the compiled variants and plain IREE, interleaved in one process.

    Systems: quantune (fp32, int8, v2, …) and iree on the float model (fp32-default: stock flags, fp32-best:
    the best known ones). Of a model, fp32, int8 and v2 are compiled into build/jobs/<model> first. Says in
    words where a quantized module is slower than fp32, and names the dispatches that cost it.
    """
    options.at_least_one(threads, "--threads")
    options.at_least_one(rounds, "--rounds")
    folders = [jobs.is_folder(subject) for subject in subjects]
    if all(folders) and calibration != RANDOM:
        raise QuantuneError("--calibration is for models; an output folder has its own: leave it out")
    output = Output(as_json)
    found: list[dict[str, Any]] = []
    for subject, folder in zip(subjects, folders, strict=True):
        job, variants = _opened(Path(subject), output) if folder else _compiled(subject, calibration, output)
        found.append(_measured(job, variants, threads, rounds, dispatches))
    _print(output, found)


def _opened(folder: Path, output: Output) -> tuple[Job, list[str]]:
    from quantune.data.sources import load_dataset
    from quantune.job.folder import load_options, open_job

    asked = load_options(folder)
    job = open_job(folder, output.progress)
    try:
        next(iter(job.calibration))
    except QuantuneError:  # moved or deleted since; times hardly depend on the picture
        channels, height, width = job.model.input_shape[1:]
        job.calibration = load_dataset("random:1", None, (channels, height, width))
        output.warn(f"the calibration data of {folder} is gone; timing on noise instead")
    return job, list(asked.variants)


def _compiled(model: str, calibration: str, output: Output) -> tuple[Job, list[str]]:
    """fp32, int8 and v2 of a model, in its job folder."""
    from quantune.job.folder import JobOptions, made, save_job, unfinish

    folder = jobs.default_folder(model)
    asked = JobOptions(model, calibration, images=options.IMAGES)
    with made(folder):
        job = jobs.begin(asked, folder, output)
        plan = job.plan("v2")
        unfinish(folder)
        built = jobs.build_variants(job, ["int8"], "v2", plan)
        job.ship("v2", plan)
        save_job(job, asked, list(built), "v2")
        found = jobs.assembled(job, plan, built)
        jobs.write_metrics(job.folder, found | jobs.measured_before(folder, found))
    return job, list(built)


def _measured(job: Job, variants: list[str], threads: int, rounds: int, profile: bool) -> dict[str, Any]:
    """The metrics of one job with this benchmark; also written to its folder."""
    from quantune.job import metrics

    sections = jobs.benchmarked(job, variants, threads, rounds, iree=True, profile=profile)
    found = metrics.load(job.folder)
    if not sections["dispatches"]:
        sections["dispatches"] = found.get("dispatches") or {}
    return jobs.write_metrics(job.folder, found | sections)


def _print(output: Output, found: list[dict[str, Any]]) -> None:
    from quantune.report.console import summary_table

    said = []
    for metrics in found:
        prefix = f"{metrics['model']['name']}: " if len(found) > 1 else ""
        output.show(summary_table(metrics))
        said += [f"{prefix}{line}" for line in metrics["benchmark"]["verdicts"]]
    output.show(*said)
    rows = [row for metrics in found for row in metrics["benchmark"]["rows"]]
    times = {metrics["model"]["name"]: metrics["dispatches"] for metrics in found}
    first = found[0]["benchmark"]
    output.result(
        {
            "cpu": first["cpu"],
            "versions": first["versions"],
            "rows": rows,
            "verdicts": said,
            "dispatches": times,
        }
    )
