"""`quantune train-bits`: weight bits for every layer, found while the network trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import goals, jobs, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.amed.settings import TrainingSettings
    from quantune.amed.train import Trained
    from quantune.job import Job

EXAMPLES = """Examples:

quantune train-bits zoo:resnet18@32 --data fashion-mnist --budget bits=3 --menu 8,4,3,2 -o out

quantune train-bits net.py:make --weights net.safetensors --data photos/ --budget latency=0.5x --epochs 8 -o
out"""


def command(
    model: options.Model,
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="DATA",
            show_default=False,
            help="labelled pictures: a folder, an .npz or fashion-mnist (its training pictures)",
        ),
    ],
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="output folder", show_default=False)
    ],
    budget: goals.Budgets = None,
    weights: options.Weights = None,
    epochs: Annotated[
        float, typer.Option("--epochs", metavar="N", help="over the training pictures, search included")
    ] = 4.0,
    menu: Annotated[
        str | None,
        typer.Option(
            "--menu",
            metavar="BITS",
            help="weight bits to choose from, such as 8,4,3,2 (default: the target's own)",
        ),
    ] = None,
    target: options.Target = "host",
    signal: Annotated[
        str,
        typer.Option(
            "--signal",
            metavar="SOURCE",
            help="where the reward has latency from: table (the target's prices), measured (every "
            "allocation is compiled and timed) or none",
        ),
    ] = "table",
    costs: options.Costs = "measured",
    min_accuracy: Annotated[
        float,
        typer.Option(
            "--min-accuracy", metavar="SHARE", help="below it the reward falls steeply, such as 0.9"
        ),
    ] = 0.0,
    pictures: Annotated[
        int | None,
        typer.Option(
            "--pictures",
            metavar="N",
            help="train on so many, spread over the data (default all)",
            show_default=False,
        ),
    ] = None,
    images: options.Images = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="of batches and chain")] = 0,
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Train a network and its weight bits together, within budgets, and compile the result.

    Starts from the post-training plan. A Metropolis-Hastings chain moves bits between layers, by validation
    loss and latency, while the network trains with learned quantization steps, on labels and on what it
    computed in float; then it trains on in the best allocation. DIR becomes a compiled folder (eval, bench
    and report take it) and gets weights.safetensors, plan.json, trajectory.json and trajectory.svg. Killed at
    any moment, the same command goes on after the last finished step.
    """
    from quantune.amed.settings import SIGNALS

    options.one_of(signal, SIGNALS, "signal")
    options.checked_target(target)
    calibrated = options.calibration_images(images)
    if pictures is not None:
        options.at_least_one(pictures, "--pictures")
    _check(epochs, min_accuracy)
    output = Output(as_json)

    from quantune.job.folder import JobOptions, made
    from quantune.plan.budget import parse_budgets

    limits = parse_budgets(budget or ())
    if not limits:
        raise QuantuneError("training bits needs a limit, such as --budget bits=3 or --budget latency=0.5x")
    shape, widths = options.parse_shape(input_shape), options.parse_menu(menu)
    settings = _settings(widths, target, epochs, signal, min_accuracy, seed)
    asked = JobOptions(
        *(model, data, str(weights) if weights else None, shape, target),
        images=calibrated,
        costs=options.checked_costs(costs),
    )
    with made(folder):
        job = jobs.begin(asked, folder / "start", output, all_images=images is not None)

        from quantune.amed.train import train_bits

        labelled = _labelled(job, data, pictures)
        trained = train_bits(job, labelled, limits, settings, folder, weights)
        found = _compiled(job, trained, asked, folder, output)
    _print(output, job, trained, found, folder)


def _check(epochs: float, min_accuracy: float) -> None:
    if not 0 < epochs < float("inf"):
        raise QuantuneError(f"--epochs must be more than 0, not {epochs:g}")
    if not 0 <= min_accuracy <= 1:
        raise QuantuneError(f"--min-accuracy is a share between 0 and 1, such as 0.9, not {min_accuracy:g}")


def _settings(
    menu: tuple[int, ...] | None, target: str, epochs: float, signal: str, min_accuracy: float, seed: int
) -> TrainingSettings:
    from quantune import targets
    from quantune.amed.settings import SIGNALS, TrainingSettings

    widths = tuple(sorted(menu or targets.get(target).weight_bits_menu))
    return TrainingSettings(
        widths,
        epochs,
        signal=next(source for source in SIGNALS if source == signal),
        min_accuracy=min_accuracy,
        seed=seed,
    )


def _labelled(job: Job, data: str, pictures: int | None) -> Any:
    from quantune.job.data import pictures_for

    return pictures_for(job.model, data, pictures, split="train", require=True)


def _compiled(job: Job, trained: Trained, asked: Any, folder: Path, output: Output) -> dict[str, Any]:
    """Makes DIR a finished folder of the trained network, and returns its metrics."""
    from dataclasses import replace

    from quantune.amed.plot import draw
    from quantune.files import write_atomic, write_json
    from quantune.job.folder import save_job, start_job, unfinish

    write_json(folder / "trajectory.json", trained.report)
    write_atomic(folder / "trajectory.svg", draw(trained.report))
    own = replace(asked, weights=str(trained.weights))
    result = start_job(own, folder, output.progress)
    unfinish(folder)
    built = jobs.build_variants(result, [], "plan", trained.plan)
    found = jobs.assembled(result, trained.plan, built)
    result.ship("plan", trained.plan)
    save_job(result, own, list(found["variants"]), "plan")
    if job.target.runs_here:
        found["evaluation"] = result.evaluate(["plan"], result.calibration.limited(16))
    return jobs.write_metrics(folder, found)


def _print(output: Output, job: Job, trained: Trained, found: dict[str, Any], folder: Path) -> None:
    from rich.table import Table

    report = trained.report
    table = Table("layer", "weights", "start", "trained", title=f"{job.model.name}: weight bits")
    for layer, start, bits in zip(job.model.graph.contractions, trained.start, trained.bits, strict=True):
        table.add_row(layer.name, f"{layer.weight_count:,}", str(start), str(bits))
    output.show(
        table,
        f"{report['average_bits']:.2f} bits on average; {report['validation_accuracy']:.1%} of the pictures "
        f"held out; predicted {report['predicted_ms']:.3f} ms, "
        f"uniform int8 {report['uniform_int8_ms']:.3f} ms",
        f"Written: {trained.weights}, {folder / 'plan.json'}, {folder / 'trajectory.svg'}",
        f"Accuracy of the compiled module: quantune eval {folder} --data DATA",
    )
    files = {name: str(folder / name) for name in ("weights.safetensors", "plan.json", "trajectory.json")}
    output.result({"folder": str(folder), "files": files, "evaluation": found.get("evaluation")} | report)
