"""`quantune bench`: latency and size, side by side with plain IREE and with other inference engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantune.cli import jobs, options
from quantune.cli.output import Output
from quantune.errors import QuantuneError

if TYPE_CHECKING:
    from quantune.job import Job
    from quantune.job.folder import JobOptions

EXAMPLES = """Examples:

quantune bench out --threads 1,2 --dispatches

quantune bench zoo:resnet18 zoo:mobilenet_v2 --calibration photos/ --peers openvino,onnxruntime --json

quantune bench zoo:resnet18 --target x86-64-avx2 --variants fp32,int8,w7,w6,v2 --peers openvino"""

RANDOM = "random:4"
VARIANTS = ("fp32", "int8", "v2")


@dataclass(frozen=True)
class _Asked:
    """The options, checked. `variants` is None for what a model or a folder has by itself."""

    threads: tuple[int, ...]
    rounds: int
    calibration: str
    target: str
    variants: tuple[str, ...] | None
    max_drop_sqnr: float | None
    iree: tuple[str, ...]
    peers: tuple[str, ...]
    dispatches: bool


def command(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL-or-DIR...",
            help="models, or output folders of `quantune compile`",
            show_default=False,
        ),
    ],
    threads: Annotated[
        str, typer.Option("--threads", metavar="LIST", help="worker threads: a number, or several as in 1,2")
    ] = "1",
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="turns that each module gets")] = 20,
    calibration: Annotated[
        str, typer.Option("--calibration", metavar="DATA", help="for models; a folder has its own")
    ] = RANDOM,
    target: Annotated[
        str, typer.Option("--target", metavar="NAME", help="for models; a folder has its own")
    ] = "host",
    variants: options.Variants = None,
    max_drop_sqnr: options.MaxDrop = None,
    iree: Annotated[
        str,
        typer.Option("--iree", metavar="LIST", help="plain IREE's flags: default,best, one of them, none"),
    ] = "default,best",
    peers: Annotated[
        str | None,
        typer.Option(
            "--peers",
            metavar="LIST",
            help="other engines on the same network, fp32 and int8: openvino,onnxruntime",
            show_default=False,
        ),
    ] = None,
    dispatches: Annotated[
        bool, typer.Option("--dispatches", help="time every dispatch of every variant")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Time the compiled variants, plain IREE and other engines, interleaved in one process.

    Systems: quantune (fp32, int8, v2, …), iree on the float model (fp32-default: stock flags, fp32-best:
    the best known ones), and with --peers openvino and onnxruntime. Of a model, the variants (fp32, int8 and
    v2 unless --variants says otherwise) are compiled into build/jobs/<model> first. Says in words where a
    module is slower than fp32 or a peer, and names the dispatches that cost it.
    """
    folders = [jobs.is_folder(subject) for subject in subjects]
    asked = _Asked(
        options.parse_threads(threads),
        options.at_least_one(rounds, "--rounds"),
        calibration,
        options.checked_target(target),
        options.parse_variants(variants),
        max_drop_sqnr,
        options.parse_iree(iree),
        options.parse_peers(peers),
        dispatches,
    )
    _check(asked, subjects, folders)
    output = Output(as_json)
    found: list[dict[str, Any]] = []
    for subject, folder in zip(subjects, folders, strict=True):
        if folder:
            job, made, chosen = _opened(Path(subject), asked, output)
        else:
            job, made, chosen = _compiled(subject, asked, output)
        found.append(_measured(job, made, chosen, asked))
    _print(output, found)


def _check(asked: _Asked, subjects: Sequence[str], folders: Sequence[bool]) -> None:
    """Raises QuantuneError for what would only fail after minutes of compiling."""
    from quantune import targets
    from quantune.job.folder import load_options

    if all(folders):
        for option, given in (
            ("--calibration", asked.calibration != RANDOM),
            ("--target", asked.target != "host"),
            ("--max-drop-sqnr", asked.max_drop_sqnr is not None),
        ):
            if given:
                raise QuantuneError(f"{option} is for models; an output folder has its own: leave it out")
    _check_drop(asked)
    wanted = {
        load_options(Path(subject)).target if folder else asked.target
        for subject, folder in zip(subjects, folders, strict=True)
    }
    for name in sorted(wanted):
        if not targets.get(name).runs_here:
            raise QuantuneError(
                f"cannot benchmark {name} modules on this machine; run it there, or use --target host"
            )
    if "openvino" in asked.peers and len(wanted) > 1:
        raise QuantuneError(
            "OpenVINO can be limited to one instruction set in a run, not to those of "
            f"{' and '.join(sorted(wanted))}: run one `quantune bench` for each target"
        )
    for subject in subjects:
        if asked.peers and subject.endswith((".mlir", ".mlirbc")):
            raise QuantuneError(
                f"--peers needs a PyTorch network, which {subject} does not hold: give zoo:NAME, "
                "file.py:factory or file.pt2, or leave --peers out"
            )


def _check_drop(asked: _Asked) -> None:
    """Raises QuantuneError where no variant is planned that looks at it, or for no number of decibels."""
    from quantune.plan.strategies import INFORMED

    strategies = [jobs.VARIANTS[variant] for variant in asked.variants or VARIANTS]
    informed = [strategy for strategy in strategies if strategy in INFORMED]
    options.only_for_informed((informed or strategies)[-1], asked.max_drop_sqnr, None)


def _opened(folder: Path, asked: _Asked, output: Output) -> tuple[Job, JobOptions, Sequence[str]]:
    from quantune.data.sources import load_dataset
    from quantune.job.folder import load_options, open_job

    made = load_options(folder)
    job = open_job(folder, output.progress)
    try:
        job.example()
    except QuantuneError:  # moved or deleted since; times hardly depend on the picture
        channels, height, width = job.model.input_shape[1:]
        job.calibration = load_dataset("random:1", None, (channels, height, width))
        output.warn(f"the calibration data of {folder} is gone; timing on noise instead")
    return job, made, asked.variants or made.variants


def _compiled(model: str, asked: _Asked, output: Output) -> tuple[Job, JobOptions, Sequence[str]]:
    """The variants of a model, in its job folder; the last of them ships."""
    from quantune.job.folder import JobOptions, made, save_job, unfinish

    folder = jobs.default_folder(model, asked.target)
    wanted = JobOptions(model, asked.calibration, target=asked.target, images=options.IMAGES)
    variants = asked.variants or VARIANTS
    *others, shipped = variants
    with made(folder):
        job = jobs.begin(wanted, folder, output)
        plan = job.plan(jobs.VARIANTS[shipped], max_drop_sqnr_db=asked.max_drop_sqnr)
        unfinish(folder)
        built = jobs.build_variants(job, others, shipped, plan, asked.max_drop_sqnr)
        job.ship(shipped, plan)
        save_job(job, wanted, list(built), shipped)
        found = jobs.assembled(job, plan, built)
        jobs.write_metrics(job.folder, found | jobs.measured_before(folder, found))
    return job, wanted, list(built)


def _measured(job: Job, made: JobOptions, variants: Sequence[str], asked: _Asked) -> dict[str, Any]:
    """The metrics of one job with this benchmark; also written to its folder."""
    from quantune.job import metrics

    others = _peers(job, made, asked.peers)
    sections = jobs.benchmarked(
        job, variants, asked.threads, asked.rounds, asked.iree, asked.dispatches, others
    )
    found = metrics.load(job.folder)
    if not sections["dispatches"]:
        sections["dispatches"] = found.get("dispatches") or {}
    return jobs.write_metrics(job.folder, found | sections)


def _peers(job: Job, made: JobOptions, names: Sequence[str]) -> Sequence[Any]:
    if not names:
        return ()
    from quantune.peers.contenders import contenders

    return contenders(job, made, names)


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
