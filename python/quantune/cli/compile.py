"""`quantune compile`: the main job, from a trained model to a compiled module."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import goals, jobs, methods, options, predicted
from quantune.cli.output import Output

if TYPE_CHECKING:
    from quantune.job import Job
    from quantune.plan.settings import Settings

EXAMPLES = """Examples:

quantune compile net.py:make --weights net.safetensors --calibration photos/ -o out

quantune compile zoo:resnet18 --calibration random:4 --target cortex-a72 -o out

quantune compile net.py:make --weights net.safetensors --calibration photos/ --plan edited.json -o out"""

CHECKED_IMAGES = 16
QUICK_ROUNDS = 5
DROP_TOLERANCE_DB = 0.5  # measured on fewer images than the prediction


def command(
    model: options.Model,
    calibration: options.Calibration,
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="output folder", show_default=False)
    ],
    weights: options.Weights = None,
    strategy: options.Strategy = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="an edited plan.json instead of a strategy")
    ] = None,
    target: options.Target = "host",
    max_drop_sqnr: options.MaxDrop = None,
    menu: options.Menu = None,
    budget: goals.Budgets = None,
    max_drop: goals.MaxDrop = None,
    data: goals.Data = None,
    data_images: goals.DataImages = None,
    minimize: goals.Minimize = None,
    observer: methods.Observer = None,
    granularity: methods.Granularity = None,
    scheme: methods.Scheme = None,
    equalize: methods.Equalize = None,
    bias_correction: methods.BiasCorrection = None,
    rounding: methods.Rounding = None,
    images: options.Images = None,
    costs: options.Costs = "measured",
    variants: options.Variants = None,
    compare: Annotated[bool, typer.Option("--compare", help="build uniform int8 as well")] = False,
    kernels: options.Kernels = "on",
    input_shape: options.InputShape = None,
    as_json: options.Json = False,
) -> None:
    """Compile a trained CNN to a mixed-precision IREE module.

    Calibrates, measures sensitivity, plans and compiles; then checks the module against fp32 on calibration
    images and compares their speed, if the target runs here. The strategy's variant is what ships; others are
    built beside it with --variants. DIR gets model.vmfb, model.quantized.mlir,
    plan.json and metrics.json. Finished steps are kept in DIR and not repeated.
    """
    limits = goals.Given(
        *(strategy, menu, max_drop_sqnr, budget or (), max_drop, data, data_images, minimize)
    )
    if plan is not None:
        limits.check_beside(plan)
    asks = limits.checked(target)
    shape = options.parse_shape(input_shape)
    calibrated = options.calibration_images(images)
    given = methods.given(observer, granularity, scheme, equalize, bias_correction, rounding)
    settings = methods.settings(**given)
    with_kernels, priced = options.switched_on(kernels, "--kernels"), options.checked_costs(costs)
    others = [*(options.parse_variants(variants) or ()), *(["int8"] if compare else [])]
    if plan is not None:
        methods.refuse(f"{plan} says how its layers are quantized", **given)
        settings = _settings_of(plan)
    elif asks.strategy == "fp32" and not set(others) - {"fp32"}:
        methods.refuse("strategy fp32 quantizes nothing", **given)

    from quantune.job.folder import JobOptions, made, save_job, unfinish
    from quantune.plan.edit import load_plan

    output = Output(as_json)
    asked = JobOptions(
        *(model, calibration, str(weights) if weights else None, shape, target, settings, with_kernels),
        images=calibrated,
        costs=priced,
    )
    with made(folder):
        job = jobs.begin(asked, folder, output, all_images=images is not None)
        decided = load_plan(plan, job.model.graph) if plan else asks.plan(job, output)
        jobs.warn_of_outliers(job, decided, output)
        variant = "plan" if plan is not None else jobs.variant_of(asks.strategy)
        unfinish(folder)
        built = jobs.build_variants(job, others, variant, decided)
        found = jobs.assembled(job, decided, built)
        job.ship(variant, decided)
        save_job(job, asked, list(found["variants"]), variant)
        _measure(job, found)
        found["commands"] = _commands(asked, folder, limits, plan, variants, compare)
        found = jobs.write_metrics(folder, found)
    _warn_of_drop(output, found, variant)
    if (slow := predicted.broken_budget(found, variant)) is not None:
        output.warn(slow)
    _print(output, job, found, variant)


def _settings_of(plan: Path) -> Settings:
    """A plan that cannot be read, or of another schema, is found before the model is imported."""
    from quantune.plan.schema import read_plan_json
    from quantune.plan.settings import settings_from_json

    return settings_from_json(read_plan_json(plan).get("settings"))


def _measure(job: Job, found: dict[str, Any]) -> None:
    """Adds accuracy on a few calibration images and quick latencies, unless these modules have theirs."""
    found |= jobs.measured_before(job.folder, found)
    if not job.target.runs_here:
        return
    variants = list(found["variants"])
    if not set(variants) <= set(found.get("evaluation") or {}):
        found["evaluation"] = job.evaluate(variants, job.calibration.limited(CHECKED_IMAGES))
    if not found.get("benchmark"):
        found |= jobs.benchmarked(job, variants, threads=(1,), rounds=QUICK_ROUNDS, iree=(), profile=False)


def _warn_of_drop(output: Output, found: dict[str, Any], variant: str) -> None:
    """The prediction that v2 decides by is of first order: what was measured has the last word."""
    plan, measured = found.get("plan") or {}, (found.get("evaluation") or {}).get(variant)
    if measured is None or plan.get("max_drop_sqnr_db") is None:
        return
    dropped = plan["uniform_int8_sqnr_db"] - measured["sqnr_db"]
    if dropped > plan["max_drop_sqnr_db"] + DROP_TOLERANCE_DB:
        output.warn(
            f"the SQNR of the outputs fell {dropped:.1f} dB below uniform int8 on {measured['data']}, "
            f"more than the {plan['max_drop_sqnr_db']:g} dB permitted: lower --max-drop-sqnr or widen --menu"
        )


def _commands(
    asked: Any, folder: Path, limits: goals.Given, plan: Path | None, variants: str | None, compare: bool
) -> list[str]:
    shape = ",".join(map(str, asked.input_shape)) if asked.input_shape else None
    given = {
        "--weights": asked.weights,
        "--calibration": asked.calibration,
        **limits.words,
        "--plan": plan,
        "--target": asked.target,
        **({} if plan is not None else methods.words(asked.settings)),
        "--images": asked.images,
        "--variants": variants,
        "--kernels": None if asked.kernels else "off",
        "--costs": None if asked.costs == "measured" else asked.costs,
        "--input-shape": shape,
    }
    words = [str(word) for option, value in given.items() if value is not None for word in (option, value)]
    words += [word for text in limits.budgets for word in ("--budget", text)]
    line = shlex.join(
        ["quantune", "compile", asked.model, *words, *(["--compare"] if compare else []), "-o", str(folder)]
    )
    here = shlex.quote(str(folder))
    return [line, f"quantune eval {here} --data DATA", f"quantune bench {here}", f"quantune report {here}"]


def _print(output: Output, job: Job, found: dict[str, Any], variant: str) -> None:
    from quantune.report.console import summary_table, verdicts

    precisions = [layer["precision"] for layer in found["layers"]]
    counts = {kind: precisions.count(kind) for kind in ("integer", "float")}
    files = [
        str(job.folder / name) for name in ("model.vmfb", "model.quantized.mlir", "plan.json", "metrics.json")
    ]
    output.show(summary_table(found), *verdicts(found))
    if not job.target.runs_here:
        output.show(f"{job.target.name} modules do not run on this machine: nothing was checked or timed.")
    output.show(*predicted.sentences(found.get("plan") or {}, found["variants"][variant]["size_bytes"]))
    output.show(f"{variant}: {counts['integer']} layers in integers, {counts['float']} in f32.")
    output.show(f"Written: {', '.join(files)}")
    keys = (
        "model",
        "target",
        "strategy",
        "settings",
        "methods",
        "plan",
        "calibration",
        "variants",
        "evaluation",
        "benchmark",
    )
    output.result(
        {"folder": str(job.folder), "variant": variant, "files": files, "layers": counts}
        | {key: found.get(key) for key in keys}
        | {"verdicts": verdicts(found)}
    )
