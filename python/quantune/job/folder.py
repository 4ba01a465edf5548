"""A job's folder, begun and opened again: `cache/job.json` says what was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from quantune.costs.find import CostSource
from quantune.data.dataset import Dataset, Image
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.ingress.model import Model
from quantune.job.data import calibration_for
from quantune.job.imports import import_model, reopen_model
from quantune.job.job import Job
from quantune.plan.settings import DEFAULT, Settings, settings_from_json
from quantune.progress import Progress, Silent
from quantune.targets import get

SCHEMA = "quantune.job/1"


@dataclass(frozen=True)
class JobOptions:
    """What a job is made from.

    model, calibration: as on the command line. images: at most that many for calibration; None for all.
    settings: how values are quantized. kernels: microkernels where they fit; else IREE generates all code.
    costs: how the planner's prices are found.
    input_shape: (C, H, W), or None for what the model says.
    variants: which of the compiled variants belong to the job. shipped: the one at the top of the folder.
    fingerprint: of the model that was imported.
    """

    model: str
    calibration: str
    weights: str | None = None
    input_shape: tuple[int, int, int] | None = None
    target: str = "host"
    settings: Settings = DEFAULT
    kernels: bool = True
    images: int | None = None
    costs: CostSource = "measured"
    variants: tuple[str, ...] = ()
    shipped: str | None = None
    fingerprint: str = ""


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """The folder, gone again if the block fails before anything stands in it.

    Raises QuantuneError when it cannot be made.
    """
    fresh = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QuantuneError(f"cannot make the folder {folder}: {error.strerror}; choose another") from error
    try:
        yield
    finally:
        for inner in ("cache", "variants", *([""] if fresh else [])):
            with contextlib.suppress(OSError):  # that it is not empty, for one
                (folder / inner).rmdir()


def start_job(options: JobOptions, folder: Path, progress: Progress) -> Job:
    """Imports the model (or takes the imported one) and opens the calibration set.

    Every calibration picture is decoded once, so that a broken one is found before minutes of compiling.
    """
    weights = Path(options.weights) if options.weights else None
    model = import_model(options.model, weights, options.input_shape, folder / "cache", progress)
    calibration = calibration_for(model, options.calibration, options.images)
    if not (folder / "statistics.json").exists():
        for _ in calibration:
            pass
    return _job(options, model, folder, calibration, progress)


def save_job(job: Job, options: JobOptions, variants: Sequence[str], shipped: str | None) -> None:
    """To be called once everything that it says is done; paths become absolute."""
    found = replace(
        options,
        model=_absolute(options.model),
        calibration=_absolute(options.calibration),
        weights=None if options.weights is None else str(Path(options.weights).resolve()),
        variants=tuple(variants),
        shipped=shipped,
        fingerprint=job.imported.graph.fingerprint,
    )
    write_json(job.folder / "cache" / "job.json", {"schema": SCHEMA, **asdict(found)})


def unfinish(folder: Path) -> None:
    """To be called before variants are compiled anew: until `save_job`, the folder cannot be opened."""
    (folder / "cache" / "job.json").unlink(missing_ok=True)


def load_options(folder: Path) -> JobOptions:
    """Raises QuantuneError when `folder` was not made by `quantune compile`, or by another version."""
    path = folder / "cache" / "job.json"
    if not path.is_file():
        raise QuantuneError(
            f"{folder} is no finished output folder; make it with `quantune compile … -o {folder}`"
        )
    raw: Any = read_json(path)
    if not isinstance(raw, dict) or raw.pop("schema", None) != SCHEMA:
        raise QuantuneError(f"{path} is of another version; rerun `quantune compile … -o {folder}`")
    try:
        shape = raw.pop("input_shape")
        variants = tuple(raw.pop("variants"))
        return JobOptions(
            **raw | {"settings": settings_from_json(raw["settings"])},
            variants=variants,
            input_shape=None if shape is None else tuple(shape),
        )
    except (TypeError, KeyError, QuantuneError) as error:
        raise QuantuneError(f"{path} is damaged ({error}); rerun `quantune compile … -o {folder}`") from error


def open_job(folder: Path, progress: Progress | None = None) -> Job:
    """The job of a folder that `save_job` has finished; the model comes from its cached modules.

    Calibration data that is gone is an error only where it is read. Raises QuantuneError.
    """
    options, progress = load_options(folder), progress or Silent()
    try:
        model = reopen_model(folder / "cache")
    except QuantuneError:
        weights = Path(options.weights) if options.weights else None
        model = import_model(options.model, weights, options.input_shape, folder / "cache", progress)
    if model.graph.fingerprint != options.fingerprint:
        raise QuantuneError(
            f"{folder} was compiled from another model than it now holds; "
            f"rerun `quantune compile … -o {folder}`"
        )
    try:
        calibration = calibration_for(model, options.calibration, options.images)
    except QuantuneError as error:
        calibration = _missing(options.calibration, f"{error}")
    return _job(options, model, folder, calibration, progress)


def _job(options: JobOptions, model: Model, folder: Path, calibration: Dataset, progress: Progress) -> Job:
    target = get(options.target)
    return Job(model, target, folder, calibration, options.settings, progress, options.kernels, options.costs)


def _missing(spec: str, reason: str) -> Dataset:
    def read(index: int) -> Image:
        raise QuantuneError(f"the calibration data of this folder cannot be read: {reason}")

    def content(index: int) -> bytes:
        raise QuantuneError(f"the calibration data of this folder cannot be read: {reason}")

    return Dataset(spec, [spec], None, read, content, "")


def _absolute(spec: str) -> str:
    """A path as seen from anywhere; zoo:NAME, fashion-mnist, random:N and package:NAME as they are."""
    file, colon, function = spec.rpartition(":")
    if colon and file.endswith(".py"):
        return f"{Path(file).resolve()}:{function}"
    return str(Path(spec).resolve()) if Path(spec).exists() else spec
