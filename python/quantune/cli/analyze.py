"""`quantune analyze`: which layers suffer from few bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import jobs, methods, options
from quantune.cli.output import Output

if TYPE_CHECKING:
    from quantune.job import Job
    from quantune.sensitivity.result import Sensitivity

EXAMPLES = "Example: quantune analyze net.py:make --weights net.safetensors --calibration photos/ -o out"


def command(
    model: options.Model,
    calibration: options.Calibration,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="job folder (default build/jobs/<model>)",
            show_default=False,
        ),
    ] = None,
    weights: options.Weights = None,
    target: options.Target = "host",
    observer: methods.Observer = None,
    granularity: methods.Granularity = None,
    scheme: methods.Scheme = None,
    equalize: methods.Equalize = None,
    images: options.Images = None,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Calibrate and measure every layer's sensitivity, nothing more.

    SQNR in dB, higher is better: of 8-bit weights, of storing the output in 8 bits, local (the integer layer
    against a float one on the same inputs), and accumulated (against the float network). DIR gets
    statistics.json and sensitivity.json; a later compile into the same DIR starts from them.
    """
    shape = options.parse_shape(input_shape)
    calibrated = options.calibration_images(images)
    options.checked_target(target)
    chosen = methods.settings(observer=observer, granularity=granularity, scheme=scheme, equalize=equalize)

    from quantune.job.folder import JobOptions, made

    output = Output(as_json)
    place = folder or jobs.default_folder(model, target)
    asked = JobOptions(
        model, calibration, str(weights) if weights else None, shape, target, chosen, images=calibrated
    )
    with made(place):
        job = jobs.begin(asked, place, output, all_images=images is not None)
        statistics = job.statistics()
        jobs.warn_of_foreign(job, statistics, output)
        found = job.sensitivity(statistics)
    _print(output, job, found)


def _print(output: Output, job: Job, found: Sensitivity) -> None:
    from rich.table import Table

    from quantune.report import text
    from quantune.sensitivity.metrics import decibels

    names = {"weight": "weights", "activation": "activations", "local": "local", "accumulated": "accumulated"}
    rows = [_row(layer.name, layer.kind, found) for layer in job.model.graph]
    table = Table(
        "layer",
        "kind",
        title=f"{job.model.name}, SQNR in 8 bits over {found.images} images",
        title_justify="left",
    )
    for heading in names.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row["name"], row["kind"], *(text.decibels(row[f"{key}_sqnr_db"]) for key in names))
    total = decibels(found.output_nsr)
    files = [str(job.folder / name) for name in ("statistics.json", "sensitivity.json")]
    output.show(table, f"Outputs in uniform int8: {text.decibels(total)}", f"Written: {', '.join(files)}")
    output.result(
        {
            "folder": str(job.folder),
            "model": job.model.name,
            "images": found.images,
            "passes": found.passes,
            "output_sqnr_db": total,
            "layers": rows,
            "files": files,
        }
    )


def _row(name: str, kind: str, found: Sensitivity) -> dict[str, Any]:
    from quantune.sensitivity.metrics import decibels

    metrics = found.layers[name]
    return {
        "name": name,
        "kind": kind,
        "weight_sqnr_db": decibels(metrics.weight_nsr[8]) if 8 in metrics.weight_nsr else None,
        "activation_sqnr_db": metrics.activation_sqnr_db,
        "local_sqnr_db": metrics.local_sqnr_db,
        "accumulated_sqnr_db": metrics.accumulated_sqnr_db,
    }
