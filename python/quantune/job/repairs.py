"""The job's share in the methods that change constants: what they found is kept, and compiled in."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quantune.data.dataset import Dataset
from quantune.ingress.model import Model
from quantune.job.cache import Cache, key_of
from quantune.plan.schema import Plan
from quantune.progress import Progress
from quantune.repair.equalization.balance import equalize
from quantune.repair.module import repaired_model
from quantune.repair.repairs import Repairs, pinned


def equalized(model: Model, cache: Cache) -> Model:
    """The same function with equalized weights; its module lies in the job's cache. Raises QuantuneError."""
    path = cache.folder / "cache" / f"{model.name}.equalized.mlirbc"
    path.parent.mkdir(parents=True, exist_ok=True)
    repairs = equalize(model.graph)
    found = repaired_model(model, repairs, path)
    return dataclasses.replace(found, reports=model.reports | repairs.report)


def data_of(plan: Plan | None, calibration: Dataset) -> str | None:
    """The fingerprint of the data that a compiled variant's constants depend on, for its key."""
    return calibration.fingerprint if plan is not None and plan.settings.repairs else None


def find_repairs(
    variant: str,
    model: Model,
    plan: Plan | None,
    key: str,
    calibration: Dataset,
    cache: Cache,
    progress: Progress,
) -> Repairs:
    """What the plan's methods make of the model's constants; from the job's cache if nothing has changed."""
    if plan is None or not plan.settings.repairs:
        return Repairs()
    path = cache.folder / "cache" / f"{variant}.repairs.json"
    key = key_of("repairs", key)
    if cache.fresh(path, key) and cache.fresh(path.with_suffix(".npz"), key):
        return Repairs.load(path)
    from quantune.repair.walk import mend  # imports torch

    repairs = mend(model.graph, plan, plan.settings, calibration, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    repairs.save(path)
    for file in (path, path.with_suffix(".npz")):
        cache.record(file, key)
    return repairs


@contextlib.contextmanager
def mended(
    model: Model, plan: Plan | None, repairs: Repairs, cache: Cache
) -> Iterator[tuple[Model, Plan | None]]:
    """The model and plan to compile; the repaired module exists within the block."""
    if plan is None or not repairs.layers:
        yield model, plan
        return
    scratch = cache.folder / "cache"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mended-", dir=scratch) as folder:
        path = Path(folder) / f"{model.name}.mlirbc"
        yield repaired_model(model, repairs, path), pinned(plan, model.graph, repairs)
