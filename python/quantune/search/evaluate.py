"""The one function that both searches evaluate with: a plan → metrics, computed once for each content."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from quantune.backend.benchmark import benchmark, cpu_info
from quantune.backend.contender import CompiledModule
from quantune.backend.runner import HostRunner
from quantune.data.dataset import Dataset, Sample
from quantune.errors import QuantuneError
from quantune.files import cache_folder, read_json, write_json
from quantune.job import Job
from quantune.job.cache import key_of
from quantune.plan.schema import Plan, decisions

ROUNDS = 20
"""Turns in which a module and fp32 are timed."""


@dataclass(frozen=True)
class Metrics:
    """What a plan comes to, measured on the compiled module.

    images: it was evaluated on. top1, fp32_top1: percent; None without labels. agreement: percent of images
    that it classifies as fp32 does. latency_ms, fp32_latency_ms: medians on one thread, taken in turns; None
    unless asked for. size_bytes: of the module. seconds: what compiling and measuring took.
    """

    images: int
    top1: float | None
    fp32_top1: float | None
    agreement: float
    latency_ms: float | None
    fp32_latency_ms: float | None
    size_bytes: int
    seconds: float

    @property
    def quality(self) -> float:
        """Percent: top-1, or agreement with fp32 where there are no labels."""
        return self.agreement if self.top1 is None else self.top1

    @property
    def drop(self) -> float:
        """Points that are lost to fp32."""
        return (100.0 if self.fp32_top1 is None else self.fp32_top1) - self.quality

    @property
    def relative_latency(self) -> float | None:
        """Percent of fp32's."""
        if self.latency_ms is None or self.fp32_latency_ms is None:
            return None
        return 100.0 * self.latency_ms / self.fp32_latency_ms


class Evaluator:
    """Evaluates plans of one network on one data set: all strategies, all searches see the same numbers.

    Results are kept in the user's cache by what they follow from: networks, plan, target, data, code; with
    latencies, the processor too.
    """

    def __init__(self, reference: Job, data: Dataset, timed: bool) -> None:
        """reference: whose fp32 variant all plans are compared with. Raises QuantuneError for empty data."""
        if not len(data):
            raise QuantuneError(f"there is nothing to evaluate: {data.description} is empty")
        self.reference, self.data, self.timed = reference, data, timed

    def __call__(self, job: Job, plan: Plan) -> Metrics:
        """Compiles and runs what `plan` says, unless that is known. Raises QuantuneError."""
        key = self._key(job, plan)
        path = cache_folder("evaluations") / f"{key}.json"
        try:
            return Metrics(**read_json(path))
        except (QuantuneError, TypeError):
            found = self._measure(job, plan, f"trial-{key[:12]}")
        write_json(path, asdict(found))
        return found

    def _key(self, job: Job, plan: Plan) -> str:
        networks = (job.model.graph.fingerprint, self.reference.imported.graph.fingerprint)
        said = (*networks, decisions(plan), plan.settings, job.target, job.kernels)
        data = (job.calibration.fingerprint, self.data.fingerprint)
        return key_of("metrics", *said, *data, cpu_info() if self.timed else None)

    def _measure(self, job: Job, plan: Plan, variant: str) -> Metrics:
        exact = self._exact
        started = time.monotonic()
        built = job.build(variant, plan)
        try:
            found = self._predict(built.path)
            latencies = self._latencies(job, built.path) if self.timed else (None, None)
        finally:
            # hundreds of trials would fill the disk; their figures stay
            for file in (built.path, built.path.with_suffix(".json")):
                file.unlink(missing_ok=True)
        return Metrics(
            images=len(found),
            top1=self._top1(found),
            fp32_top1=self._top1(exact),
            agreement=_percent(found == exact),
            latency_ms=latencies[0],
            fp32_latency_ms=latencies[1],
            size_bytes=built.size_bytes,
            seconds=round(time.monotonic() - started, 2),
        )

    @cached_property
    def _samples(self) -> list[Sample]:
        return list(self.data)

    @cached_property
    def _exact(self) -> np.ndarray[Any, Any]:
        """fp32's class of every image, i64 [images]."""
        return self._predict(self.reference.build("fp32", None).path)

    def _predict(self, path: Path) -> np.ndarray[Any, Any]:
        """The class of every image, i64 [images]."""
        runner = HostRunner(path)
        return np.array([int(np.argmax(runner.run([sample.image])[0])) for sample in self._samples])

    def _top1(self, classes: np.ndarray[Any, Any]) -> float | None:
        if not self.data.has_labels:
            return None
        return _percent(classes == np.array([sample.label for sample in self._samples]))

    def _latencies(self, job: Job, path: Path) -> tuple[float, float]:
        """Milliseconds of the module and of fp32, on one thread, taken in turns."""
        files = {"trial": path, "fp32": self.reference.variant_path("fp32")}
        image = [job.example()]
        modules = [
            CompiledModule(job.model.name, "quantune", name, file, image, job.target.name)
            for name, file in files.items()
        ]
        rows = {row.variant: row.latency_ms for row in benchmark(modules, rounds=ROUNDS)}
        return rows["trial"], rows["fp32"]


def _percent(hits: np.ndarray[Any, Any]) -> float:
    return round(100.0 * float(np.mean(hits)), 4)
