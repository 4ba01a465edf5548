"""How many points of accuracy a plan costs: measured on its compiled module, kept in the job's folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantune.data.dataset import Dataset, check_labels
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.job.cache import key_of
from quantune.job.job import Job
from quantune.plan.schema import Plan, decisions


@dataclass(frozen=True)
class Drop:
    """What a plan loses against fp32 on some data.

    Attributes:
        points: of top-1, where there are labels; else of pictures whose class differs from fp32's, which
            is at least what top-1 can lose on them. top1, agreement: fractions; top1 is None without labels.
    """

    points: float
    top1: float | None
    agreement: float
    sqnr_db: float
    images: int
    data: str

    @property
    def measures(self) -> str:
        """What the points are of."""
        return "top-1" if self.top1 is not None else "disagreement with fp32"


def measured_drop(job: Job, plan: Plan, dataset: Dataset) -> Drop:
    """Compiles the plan and runs every image through it, unless that has been done.

    Raises QuantuneError for a target that does not run here, or labels that do not fit the model.
    """
    if dataset.has_labels and job.model.classes is not None:
        check_labels(dataset, job.model.classes)
    path = job.folder / "cache" / "drops.json"
    key = key_of(
        "drop", job.model.graph.fingerprint, job.target, job.kernels, decisions(plan), dataset.fingerprint
    )
    known = _known(path)
    if key not in known:
        found = _evaluated(job, plan, dataset, f"candidate-{key[:8]}")
        known[key] = found
        write_json(path, known)
    row = known[key]
    top1, agreement = row["top1"], row["agreement"]
    lost = 1 - agreement if top1 is None else row["fp32_top1"] - top1
    return Drop(100 * lost, top1, agreement, row["sqnr_db"], row["images"], row["data"])


def _evaluated(job: Job, plan: Plan, dataset: Dataset, variant: str) -> dict[str, Any]:
    """The module is gone afterwards: candidates are many, and the chosen one gets built as a variant."""
    job.build("fp32", None)
    built = job.build(variant, plan)
    try:
        return job.evaluate([variant], dataset)[variant]
    finally:
        built.path.unlink(missing_ok=True)
        built.path.with_suffix(".json").unlink(missing_ok=True)


def _known(path: Any) -> dict[str, dict[str, Any]]:
    """A damaged file only costs work."""
    try:
        return dict(read_json(path)) if path.exists() else {}
    except (QuantuneError, TypeError, ValueError):
        return {}
