"""`quantune plan`: precisions and their reasons, to read, edit and feed back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantune.cli import goals, jobs, methods, options, pareto, predicted
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.plan.schema import Plan

EXAMPLES = """Examples:

quantune plan net.py:make --weights net.safetensors --calibration photos/ -o plan.json

quantune plan net.py:make --weights net.safetensors --calibration photos/ --budget size=0.2x -o plan.json

quantune plan net.py:make --weights net.safetensors --calibration photos/ --pareto front.html"""


def command(
    model: options.Model,
    calibration: options.Calibration,
    path: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="the plan to write, such as plan.json", show_default=False
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="DIR", help="job folder (default build/jobs/<model>)", show_default=False
        ),
    ] = None,
    weights: options.Weights = None,
    strategy: options.Strategy = None,
    target: options.Target = "host",
    max_drop_sqnr: options.MaxDrop = None,
    menu: options.Menu = None,
    budget: goals.Budgets = None,
    max_drop: goals.MaxDrop = None,
    data: goals.Data = None,
    data_images: goals.DataImages = None,
    minimize: goals.Minimize = None,
    front: pareto.File = None,
    points: pareto.Points = None,
    pick: pareto.Pick = None,
    observer: methods.Observer = None,
    granularity: methods.Granularity = None,
    scheme: methods.Scheme = None,
    equalize: methods.Equalize = None,
    bias_correction: methods.BiasCorrection = None,
    rounding: methods.Rounding = None,
    images: options.Images = None,
    costs: options.Costs = "measured",
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Choose a precision for every layer and write the plan; compile nothing that ships.

    Edit it and give it to `quantune compile --plan`. What calibration and analysis compute stays in the job
    folder; give the same folder to compile with -o and it starts from there.
    """
    limits = goals.Given(
        *(strategy, menu, max_drop_sqnr, budget or (), max_drop, data, data_images, minimize)
    )
    asks = limits.checked(target, pareto=front is not None)
    drawn = pareto.checked(front, points, pick, path)
    shape = options.parse_shape(input_shape)
    calibrated = options.calibration_images(images)
    given = methods.given(observer, granularity, scheme, equalize, bias_correction, rounding)
    settings = methods.settings(**given)
    if asks.strategy == "fp32":
        methods.refuse("strategy fp32 quantizes nothing", **given)
    if path is not None and path.is_dir():
        raise QuantuneError(f"{path} is a folder; name the file to write, such as {path / 'plan.json'}")

    from quantune.job.folder import JobOptions, made

    output = Output(as_json)
    place = folder or jobs.default_folder(model, target)
    asked = JobOptions(
        *(model, calibration, str(weights) if weights else None, shape, target, settings),
        images=calibrated,
        costs=options.checked_costs(costs),
    )
    with made(place):
        job = jobs.begin(asked, place, output, all_images=images is not None)
        if drawn is not None:
            drawn.run(job, asks, path, output)
            return
        assert path is not None
        decided = asks.plan(job, output)
        jobs.warn_of_outliers(job, decided, output)
    decided.save(path)
    _print(output, decided, path, place)


def _print(output: Output, plan: Plan, path: Path, folder: Path) -> None:
    from rich.table import Table

    table = Table(
        "layer", "precision", "reason", title=f"{plan.model}, strategy {plan.strategy}", title_justify="left"
    )
    for name, choice in plan.layers.items():
        bits = f" w{choice.weight_bits}" if choice.precision == "integer" and choice.weight_bits else ""
        table.add_row(name, f"{choice.precision}{bits}", choice.reason)
    output.show(table, *predicted.sentences(plan.report), f"Written: {path}")
    output.result({"path": str(path), "folder": str(folder), "plan": plan.to_json()})
