"""`quantune tune`: the settings that quantize a network best, in as few trials as possible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from quantune.cli import jobs, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

EXAMPLES = """Examples:

quantune tune zoo:resnet18@32 --data fashion-mnist --trials 20

quantune tune net.py:make --data val/ --calibration train/ --objective pareto --storage sqlite:///tune.db

quantune tune --replay trials.csv --seeds 200 --json"""
TRIALS, IMAGES, SEEDS, MAX_DROP = 20, 1000, 20, 1.0


def command(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="what to tune", show_default=False)
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="DATA", help="what trials are judged on: labelled, or agreement counts"
        ),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option("--calibration", metavar="DATA", help="default: --data, its training part")
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="NAME", help="accuracy (default), latency or pareto")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="NAME", help="xgb (default), random, grid, genetic or tpe"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help=f"of the whole study (default {TRIALS})")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="URL", help="shared by workers (default sqlite:/// in the job folder)"
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="POINTS", help="objective latency: of accuracy (default 1)"),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help=f"judge on so many of --data (default {IMAGES} at most)"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="of the strategy (default 0)")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="job folder (default build/jobs/<model>)")
    ] = None,
    weights: options.Weights = None,
    input_shape: options.InputShape = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="host (default), or x86-64-avx2")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FILE", help="search trials that were measured before, a CSV"),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", metavar="N", help=f"--replay: runs of every strategy (default {SEEDS})"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Search the settings of post-training quantization: calibration, clipping, scheme, mixed precision.

    Every trial is compiled and run. Stop at any moment: the same command goes on, and several at once on one
    storage share the work. With --replay: how many trials each strategy needs, on trials of several networks.
    """
    from quantune.search.packages import check_installed

    given = {
        "MODEL": model,
        "--data": data,
        "--calibration": calibration,
        "--objective": objective,
        "--strategy": strategy,
        "--trials": trials,
        "--storage": storage,
        "--max-drop": max_drop,
        "--images": images,
        "--seed": seed,
        "--folder": folder,
        "--weights": weights,
        "--input-shape": input_shape,
        "--target": target,
    }
    if replay is not None:
        _refuse(given, "with --replay nothing is compiled")
        count = options.at_least_one(_or(seeds, SEEDS), "--seeds")
        check_installed()
        from quantune.cli import tune_replay

        tune_replay.replay(replay, count, Output(as_json))
        return
    _refuse({"--seeds": seeds}, "it is a setting of --replay")
    if model is None or data is None:
        raise QuantuneError("name the MODEL and --data to judge it on, or trials to --replay")
    check_installed()
    from quantune.cli import tune_live
    from quantune.search.objectives import GOALS
    from quantune.search.session import Asked
    from quantune.search.tuning import STRATEGIES

    goal = options.one_of(objective or "accuracy", GOALS, "objective")
    if goal != "latency":
        _refuse({"--max-drop": max_drop}, "it is a setting of objective latency")
    asked = Asked(
        model=model,
        data=data,
        calibration=calibration or data,
        folder=folder or jobs.default_folder(model, options.checked_target(target or "host")),
        goal=next(known for known in GOALS if known == goal),
        max_drop=_points(max_drop),
        strategy=options.one_of(strategy or "xgb", STRATEGIES, "strategy"),
        trials=options.at_least_one(_or(trials, TRIALS), "--trials"),
        storage=storage,
        images=options.at_least_one(_or(images, IMAGES), "--images"),
        all_images=images is not None,
        seed=_or(seed, 0),
        weights=weights,
        input_shape=options.parse_shape(input_shape),
        target=target or "host",
    )
    tune_live.tune(asked, Output(as_json))


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _points(value: float | None) -> float:
    if value is not None and not 0 <= value < float("inf"):
        raise QuantuneError(f"--max-drop must be 0 points or more, not {value:g}")
    return MAX_DROP if value is None else value


def _refuse(given: Mapping[str, object], because: str) -> None:
    """Raises QuantuneError for an option that nothing would look at."""
    for name, value in given.items():
        if value is not None:
            raise QuantuneError(f"leave out {name}: {because}")
