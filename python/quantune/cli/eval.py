"""`quantune eval`: accuracy of what was compiled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import jobs, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.data import Dataset
    from quantune.job import Job

EXAMPLES = """Examples:

quantune eval out --data photos/ --json

quantune eval zoo:resnet18@32 --data fashion-mnist --images 500"""


def command(
    subject: Annotated[
        str, typer.Argument(metavar="DIR-or-MODEL", help="an output folder, or a model (fp32 only)")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="DATA", help="labelled for top-1, else agreement only", show_default=False
        ),
    ],
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help="so many, spread over the data (default all)"),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant", metavar="NAME", help="only this one beside fp32 (default: all of the folder)"
        ),
    ] = None,
    weights: options.Weights = None,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Measure top-1, agreement with fp32 and SQNR of the compiled modules.

    With --json: images, fp32_top1, top1 (null without labels), agreement (fractions) and sqnr_db of what the
    folder ships (or --variant), and of every variant under variants. metrics.json gets them too.
    """
    if images is not None:
        options.at_least_one(images, "--images")
    output = Output(as_json)
    compiled = jobs.is_folder(subject)
    if compiled:
        if weights is not None or input_shape is not None:
            raise QuantuneError(f"{subject} is compiled already; leave out --weights and --input-shape")
        job, variants, shipped = _opened(Path(subject), variant, output)
    else:
        if weights is None and input_shape is None:
            subject = _meant(subject, data, output)
        _check_zoo(subject, data)
        if variant not in (None, "fp32"):
            raise QuantuneError(
                f"{subject} is a model, of which only fp32 is evaluated; compile it for {variant!r}"
            )
        job = _fp32(subject, weights, options.parse_shape(input_shape), output)
        variants, shipped = ["fp32"], "fp32"
    dataset = _dataset(job, data, images, output)
    if not compiled:
        job.build("fp32", None)
    found = _evaluate(job, variants, dataset)
    chosen = variant or shipped
    _print(output, job, found, chosen)


def _opened(folder: Path, variant: str | None, output: Output) -> tuple[Job, list[str], str]:
    """The folder's job, what to evaluate of it, and what it ships."""
    from quantune.job.folder import load_options, open_job

    found = load_options(folder)
    if variant is not None:
        options.one_of(variant, found.variants, f"variant of {folder}")
    job = open_job(folder, output.progress)
    jobs.warn_of_random(job, found.calibration, output)
    return job, list(found.variants) if variant is None else [variant], found.shipped or "fp32"


def _fp32(model: str, weights: Path | None, shape: tuple[int, int, int] | None, output: Output) -> Job:
    from quantune.job.folder import JobOptions, made, start_job

    folder = jobs.default_folder(model)
    # fp32 is not calibrated: these are never read
    asked = JobOptions(model, "random:1", str(weights) if weights else None, shape)
    with made(folder):
        job = start_job(asked, folder, output.progress)
        if not job.model.trained:
            output.warn(f"the weights of {model} are random, not trained: accuracy says nothing")
    return job


def _meant(model: str, data: str, output: Output) -> str:
    """zoo:NAME → zoo:NAME@32 where that is trained on just these data; the large one lacks their classes."""
    from quantune import zoo

    small = f"{model.removeprefix('zoo:')}@32"
    if not model.startswith("zoo:") or small not in zoo.names() or zoo.entry(small).pretrained != data:
        return model
    output.warn(f"{model} has ImageNet's classes: this is zoo:{small}, which is trained on {data}")
    return f"zoo:{small}"


def _check_zoo(model: str, data: str) -> None:
    """Refuses what `_dataset` would refuse after the import of a large network."""
    from quantune import zoo
    from quantune.data import check_classes, load_dataset

    if model.startswith("zoo:"):
        entry = zoo.entry(model.removeprefix("zoo:"))
        check_classes(load_dataset(data, entry.preprocessing, entry.input_shape), entry.classes, model)


def _dataset(job: Job, data: str, images: int | None, output: Output) -> Dataset:
    """Found and checked before anything is compiled."""
    from quantune.job.data import pictures_for

    dataset = pictures_for(job.model, data, images, require=True)
    if dataset.is_random:
        output.warn(f"{data} is noise: accuracy on it says nothing about real images")
    return dataset


def _evaluate(job: Job, variants: list[str], dataset: Dataset) -> dict[str, Any]:
    """Results by variant; metrics.json of a compiled folder gets them too."""
    from quantune.job import metrics

    found = job.evaluate(variants, dataset)
    if (job.folder / "metrics.json").exists():
        known = metrics.load(job.folder)
        if known["model"]["fingerprint"] == job.model.graph.fingerprint:
            metrics.update(
                job.folder, "evaluation", jobs.merged_evaluation(known.get("evaluation") or {}, found)
            )
    return found


def _print(output: Output, job: Job, found: dict[str, Any], chosen: str) -> None:
    from rich.table import Table

    from quantune.report import text

    result = found[chosen]
    table = Table("variant", title=f"{job.model.name}, {result['data']}", title_justify="left")
    for heading in ("top-1", "agreement", "SQNR"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in found.items():
        beside = (None, None) if name == "fp32" else (row["agreement"], row["sqnr_db"])
        table.add_row(name, text.percent(row["top1"]), text.percent(beside[0]), text.decibels(beside[1]))
    output.show(table)
    output.result(result | {"model": job.model.name, "variant": chosen, "variants": found})
