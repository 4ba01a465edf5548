"""`quantune plan`: precisions and their reasons, to read, edit and feed back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantune.cli import jobs, methods, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.plan.schema import Plan

EXAMPLES = "Example: quantune plan net.py:make --weights net.safetensors --calibration photos/ -o plan.json"


def command(
    model: options.Model,
    calibration: options.Calibration,
    path: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="the plan to write, such as plan.json", show_default=False
        ),
    ],
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
    observer: methods.Observer = None,
    granularity: methods.Granularity = None,
    scheme: methods.Scheme = None,
    images: options.Images = options.IMAGES,
    costs: options.Costs = "measured",
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Choose a precision for every layer and write the plan; compile nothing that ships.

    Edit it and give it to `quantune compile --plan`. What calibration and analysis compute stays in the job
    folder; give the same folder to compile with -o and it starts from there.
    """
    chosen = options.checked_strategy(strategy or "v2")
    options.only_for_v2(chosen, max_drop_sqnr, menu)
    widths, shape = options.parse_menu(menu), options.parse_shape(input_shape)
    options.at_least_one(images, "--images")
    options.checked_target(target)
    given = {
        "observer": observer,
        "granularity": granularity,
        "scheme": scheme,
    }
    settings = methods.settings(**given)
    if chosen == "fp32":
        methods.refuse("strategy fp32 quantizes nothing", **given)
    if path.is_dir():
        raise QuantuneError(f"{path} is a folder; name the file to write, such as {path / 'plan.json'}")

    from quantune.job.folder import JobOptions, made

    output = Output(as_json)
    place = folder or jobs.default_folder(model, target)
    asked = JobOptions(
        *(model, calibration, str(weights) if weights else None, shape, target, settings),
        images=images,
        costs=options.checked_costs(costs),
    )
    with made(place):
        decided = jobs.make_plan(jobs.begin(asked, place, output), chosen, widths, max_drop_sqnr)
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
    output.show(table, *_priced(plan), f"Written: {path}")
    output.result({"path": str(path), "folder": str(folder), "plan": plan.to_json()})


def _priced(plan: Plan) -> list[str]:
    """Where the prices came from and what they add up to, for strategies that look at them."""
    report = plan.report
    if "prices" not in report:
        return []
    sources = ", ".join(f"{count} {source}" for source, count in report["prices"].items())
    return [
        f"Predicted: {report['predicted_ms']:.2f} ms, uniform int8 {report['uniform_int8_ms']:.2f} ms "
        f"(prices of layers: {sources})"
    ]
