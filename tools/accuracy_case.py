"""One trained network with its calibration set and test pictures; what of it has been measured is kept.

A record says how a quantized network did on the test pictures. It is kept in build/accuracy/<model>/ under a
key of all it depends on: the float network, the test set, and for our plans the decisions and the compiler's
sources, for other tools the calibration set and their versions. Equal plans of two methods are run once.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import quantune
from accuracy_data import DATA, Logits, Pictures, pictures
from quantune.backend.runner import HostRunner
from quantune.errors import QuantuneError
from quantune.files import read_json, replacing, write_json
from quantune.ingress.torch_module import load_torch
from quantune.job import Job
from quantune.job.cache import file_digest
from quantune.job.folder import JobOptions, start_job
from quantune.job.repairs import data_of
from quantune.peers.export import export_onnx
from quantune.plan.schema import Plan, decisions
from quantune.plan.strategies import Request
from quantune.plan.strategies.allocation import MENU, average_bits, counts
from quantune.progress import Progress, stage
from quantune.sources import digest, inside

RUNS = Path("build/accuracy")
TOOLS = ("iree-base-compiler", "iree-base-runtime", "torch-mlir")
COMPILER = ("passes", "ir", "graph", "numerics", "ingress", "repair")
Record = dict[str, Any]


@dataclass
class Case:
    """A network's job, and the pictures that it is judged by; `oracle`: the folder of tools/oracle.py."""

    model: str
    job: Job
    options: JobOptions
    test: Pictures
    progress: Progress
    again: bool = False
    oracle: Path = Path("build/oracle")
    _exact: tuple[str, Logits] | None = None

    @property
    def folder(self) -> Path:
        return self.job.folder

    @functools.cached_property
    def request(self) -> Request:
        """What strategies look at, every width on the menu."""
        return self.job.request(MENU)

    def float_logits(self) -> Logits:
        """Of our own fp32 module, which all are compared with."""
        path, key = self.folder / "fp32.npy", self.compiled_key(None)
        if self._exact is not None and self._exact[0] == key:
            return self._exact[1]
        if not self.again and self._kept("fp32", key) and path.exists():
            found: Logits = np.load(path)
        else:
            began = time.monotonic()
            found = self._run(None, "fp32")
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, found)
            self._keep("fp32", key, found, found, began, {"average_bits": 32.0})
        self._exact = key, found
        return found

    def compare_with(self, logits: Logits) -> None:
        """Takes another module's logits for fp32's."""
        self._exact = self.compiled_key(None), logits

    def record(self, method: str) -> Record:
        """What was kept last."""
        found: Record = read_json(self._path(method))
        return found

    def measure_plan(self, method: str, plan: Plan) -> Record:
        """Of a plan: compiled by IREE and run on every test picture."""
        key, graph = self.compiled_key(plan), self.job.model.graph
        weights = counts(graph)
        facts: Record = {
            "average_bits": round(average_bits(graph, plan), 4),
            "widths": {
                name: plan.layers[name].weight_bits if plan.layers[name].precision == "integer" else 32
                for name in weights
            },
        }
        if not self.again and (found := self._kept(method, key)):
            return found
        if not self.again and (twin := self._twin(key)):
            found = twin | {"method": method} | facts
            write_json(self._path(method), found)
            return found
        began, exact = time.monotonic(), self.float_logits()
        return self._keep(method, key, self._run(plan, "tried"), exact, began, facts)

    def measure_other(
        self, method: str, settings: Record, packages: Sequence[str], run: Callable[[], Logits]
    ) -> Record:
        """Of another tool's model, which `run` makes and runs; `settings` and versions decide if anew."""
        versions = {name: importlib.metadata.version(name) for name in packages}
        sources = [file_digest(path) for path in sorted((_root() / "peers").glob("*.py"))]
        key = self._key("other", settings, versions, sources, self.job.calibration.fingerprint)
        if not self.again and (found := self._kept(method, key)):
            return found
        exact, began = self.float_logits(), time.monotonic()
        return self._keep(method, key, run(), exact, began, {"settings": settings, "versions": versions})

    def onnx(self) -> Path:
        """The float network for other tools, for any number of pictures at once."""
        path = self.folder / "float.onnx"
        key = self._key("onnx", importlib.metadata.version("torch"))
        if not self.job.cache.fresh(path, key):
            weights = Path(self.options.weights) if self.options.weights else None
            export_onnx(load_torch(self.options.model, weights), path, any_batch=True)
            self.job.cache.record(path, key)
        return path

    def _run(self, plan: Plan | None, variant: str) -> Logits:
        built = self.job.build(variant, plan)
        runner = HostRunner(built.path)
        with stage(self.progress, f"running {variant}", len(self.test.images)):
            rows = []
            for index in range(len(self.test.images)):
                rows.append(runner.run([self.test.images[index : index + 1]])[0][0])
                self.progress.advance()
            return np.stack(rows)

    def _key(self, *parts: object) -> str:
        whole = (self.job.model.graph.fingerprint, self.test.fingerprint, *parts)
        return hashlib.sha256(repr(whole).encode()).hexdigest()[:24]

    def compiled_key(self, plan: Plan | None) -> str:
        """Of all that decides what a compiled plan makes of the test pictures; None for fp32."""
        decided: object = "fp32"
        if plan is not None:
            decided = decisions(plan), data_of(plan, self.job.calibration)
        return self._key("compiled", decided, self.job.target, compiler_digest())

    def _path(self, method: str) -> Path:
        return self.folder / "records" / f"{method}.json"

    def _kept(self, method: str, key: str) -> Record | None:
        path = self._path(method)
        found: Record | None = read_json(path) if path.exists() else None
        return found if found and found.get("key") == key else None

    def _twin(self, key: str) -> Record | None:
        """A record of the same module under another method's name."""
        records = (read_json(path) for path in sorted((self.folder / "records").glob("*.json")))
        return next((found for found in records if found.get("key") == key), None)

    def _keep(
        self, method: str, key: str, logits: Logits, exact: Logits, began: float, facts: Record
    ) -> Record:
        if not np.isfinite(logits).all():
            raise QuantuneError(f"{self.model}, {method}: the outputs are not finite")
        chosen, noise = logits.argmax(axis=1), float(np.sum((logits - exact) ** 2, dtype=np.float64))
        signal = float(np.sum(exact**2, dtype=np.float64))
        found = {
            "key": key,
            "model": self.model,
            "method": method,
            "images": len(logits),
            "top1": float(np.mean(chosen == self.test.labels)),
            "agreement": float(np.mean(chosen == exact.argmax(axis=1))),
            "sqnr_db": round(10 * np.log10(signal / noise), 2) if noise else None,
            "seconds": round(time.monotonic() - began, 1),
            **facts,
        }
        write_json(self._path(method), found)
        return found


def open_case(
    model: str,
    images: int,
    calibration: int,
    weights: Path | None,
    progress: Progress,
) -> Case:
    """`model` without @32. Raises QuantuneError when it has no trained weights."""
    spec = f"zoo:{model}@32"
    file = None if weights is None else str(weights / f"{model}@32.safetensors")
    options = JobOptions(spec, DATA, file, images=calibration, costs="cached")
    job = start_job(options, RUNS / model, progress)
    if not job.model.trained:
        raise QuantuneError(f"{spec} has no trained weights: make them with `make train-zoo`")
    return Case(model, job, options, pictures(job, images), progress)


def compiler_digest() -> str:
    """Of what turns a plan into a module: repairs, passes, kernels, the integer semantics, and IREE."""
    return digest(inside(*COMPILER)) + repr([importlib.metadata.version(name) for name in TOOLS])


def _root() -> Path:
    return Path(quantune.__file__).parent
