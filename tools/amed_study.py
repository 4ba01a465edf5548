"""AMED against post-training plans and fixed widths, on the 32x32 zoo; docs/results/amed.* is what comes out.

Every network is trained for the same number of batches in every case: with fixed uniform bits, with the chain
moving bits at the same average, with the chain but without the hardware's signal, and with the target's own
menu. Accuracies are those of the compiled modules on test pictures; training, validation and calibration see
training pictures only. Results are kept in build/amed/ and not repeated while network and settings are the
same, unless --again is given.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import amed_results
from command import finish
from quantune.amed.budget import costs_of, priced
from quantune.amed.settings import Signal, TrainingSettings
from quantune.amed.train import train_bits
from quantune.backend.runner import HostRunner, Runner
from quantune.cli.progress import choose
from quantune.data.dataset import Dataset
from quantune.data.sources import load_dataset
from quantune.errors import QuantuneError
from quantune.files import read_json, write_atomic, write_json
from quantune.ingress.model import Model
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.plan.budget import Goal, parse_budget
from quantune.plan.schema import Plan

RUNS = Path("build/amed")
MODELS = ("resnet18", "mobilenet_v2", "squeezenet", "vgg16")
MENU = (2, 3, 4, 8)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: what is trained, or planned after training.

    average: bits of a weight, at most. own: the target's menu instead of MENU.
    """

    method: str
    average: int
    own: bool = False
    signal: Signal = "table"


CASES = (
    *(Case("v2", bits) for bits in (3, 4)),
    *(Case("uniform", bits) for bits in (3, 4)),
    *(Case("amed", bits) for bits in (3, 4)),
    Case("amed, no signal", 3, signal="none"),
    Case("v2, target's menu", 5, own=True),
    Case("amed, target's menu", 5, own=True),
)


@dataclasses.dataclass(eq=False)
class Study:
    """One network: its job, the pictures, and what has been found so far, by case."""

    name: str
    job: Job
    training: Dataset
    test: tuple[np.ndarray, list[int]]
    settings: TrainingSettings
    folder: Path
    again: bool

    def run(self, case: Case) -> dict[str, Any]:
        """The record of one case, from its file if nothing has changed since."""
        path = self.folder / f"{case.method.replace(' ', '-').replace(',', '')}-{case.average}.json"
        facts = (self.job.model.graph.fingerprint, self.job.target.name, self.settings, case)
        key = hashlib.sha256(repr((*facts, len(self.test[1]), len(self.training))).encode()).hexdigest()[:24]
        if path.exists() and not self.again and (found := read_json(path)).get("key") == key:
            return dict(found)
        began = time.monotonic()
        model, plan, report = self._made(case, path.with_suffix(""))
        record = {"model": self.name, **dataclasses.asdict(case), "seconds": time.monotonic() - began}
        record |= {"float_accuracy": self._float_accuracy} | self._measured(model, plan, path.with_suffix(""))
        record |= {"report": report, "key": key}
        write_json(path, record)
        return record

    @functools.cached_property
    def _float_accuracy(self) -> float:
        return self._accuracy(HostRunner(self.job.build("fp32", None).path))

    def _made(self, case: Case, folder: Path) -> tuple[Model, Plan, dict[str, Any]]:
        menu = tuple(sorted(self.job.target.weight_bits_menu)) if case.own else MENU
        budget = parse_budget(f"bits={case.average}")
        if case.method.startswith("v2"):
            plan = self.job.plan("milp", tuple(reversed(menu)), goal=Goal((budget,)))
            return self.job.model, plan, {}
        settings = dataclasses.replace(self.settings, menu=menu, signal=case.signal)
        if case.method == "uniform":
            settings = dataclasses.replace(settings, menu=(case.average,))
        trained = train_bits(self.job, self.training, budget, settings, folder)
        return trained.model, trained.plan, trained.report

    def _measured(self, model: Model, plan: Plan, folder: Path) -> dict[str, Any]:
        """Accuracy of the compiled module, and what the plan costs by the target's prices."""
        folder.mkdir(parents=True, exist_ok=True)
        job = Job(model, self.job.target, folder, self.job.calibration, progress=self.job.progress)
        built = job.build("plan", plan)
        bits = tuple(plan.layers[layer.name].weight_bits or 8 for layer in model.graph.contractions)
        costs = costs_of(model.graph, self.job.prices(priced(bits)), bits)
        return {
            "accuracy": self._accuracy(HostRunner(built.path)),
            "average_bits": costs.average_bits(bits),
            "predicted_ms": costs.milliseconds(bits),
            "uniform_int8_ms": costs.milliseconds((8,) * len(bits)),
            "bits": list(bits),
        }

    def _accuracy(self, runner: Runner) -> float:
        images, labels = self.test
        hits = [int(np.argmax(runner.run([image[None]])[0])) for image in images]
        return float(np.mean(np.array(hits) == np.array(labels)))


def opened(name: str, weights: Path | None, asked: argparse.Namespace) -> Study:
    """A network with its post-training job; raises QuantuneError without trained weights."""
    progress, folder = choose(as_json=False), RUNS / asked.target / name
    spec = JobOptions(
        *(f"zoo:{name}@32", "fashion-mnist", str(weights) if weights else None, None, asked.target),
        images=64,
        costs="modelled",
    )
    job = start_job(spec, folder / "start", progress)
    if not job.model.trained:
        raise QuantuneError(f"{name}@32 has no trained weights; train the zoo first")
    shape = (1, 32, 32)
    test = load_dataset("fashion-mnist", job.model.preprocessing, shape, asked.test, split="test").stacked()
    training = load_dataset("fashion-mnist", job.model.preprocessing, shape, asked.pictures, split="train")
    settings = TrainingSettings(
        MENU,
        **{key: getattr(asked, key) for key in ("epochs", "batch", "interval", "validation", "rate", "seed")},
    )
    return Study(name, job, training, (test[0], test[1] or []), settings, folder, asked.again)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo (default: {' '.join(MODELS)})")
    parser.add_argument(
        "--weights", type=Path, help="a folder of NAME@32.safetensors (default: the zoo's own)"
    )
    parser.add_argument("--target", default="x86-64-avx2", help="whose prices count (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=4000, help="to train on (default: %(default)s)")
    parser.add_argument(
        "--test", type=int, default=10_000, help="to judge the results by (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=float, default=4.0, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--interval", type=int, default=10, help="batches a step (default: %(default)s)")
    parser.add_argument(
        "--validation", type=int, default=512, help="to judge by while searching (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=TrainingSettings.rate, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="run even what was run before")
    parser.add_argument("--cases", help="only those whose method starts so, such as amed")
    parser.add_argument("-o", "--output", type=Path, default=amed_results.FOLDER, help="default: %(default)s")
    asked = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    failed = 0
    for name in asked.models or MODELS:
        try:
            weights = asked.weights / f"{name}@32.safetensors" if asked.weights else None
            study = opened(name, weights, asked)
            for case in CASES:
                if case.method.startswith(asked.cases or ""):
                    print(f"{name}: {case.method}, {case.average} bits", file=sys.stderr, flush=True)
                    rows.append(study.run(case))
        except QuantuneError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            failed = 1
    if rows:
        found = {"rows": rows, "setting": {k: v for k, v in vars(asked).items() if k in amed_results.SETTING}}
        for path, content in amed_results.rendered(found).items():
            write_atomic(asked.output / path, content)
            print(f"Written: {asked.output / path}")
    return failed


if __name__ == "__main__":
    finish(main)
