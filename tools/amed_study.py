"""AMED against post-training plans and fixed widths, on the 32x32 zoo; docs/results/amed.* is what comes out.

Every network is trained for the same number of batches in every case: with fixed uniform bits; with the chain
moving bits at the same average, and no slower than the post-training plan; with the chain but without the
hardware's signal; and with the target's own menu. Accuracies are those of the compiled modules on test
pictures, from the evaluation that `quantune tune` uses; training, validation and calibration see training
pictures only. Results are kept in build/amed/ and not repeated while network and settings are the same,
unless --again is given; a training that was cut off goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import amed_results
from command import finish
from quantune.amed.budget import costs_of, priced
from quantune.amed.settings import Signal, TrainingSettings
from quantune.amed.train import train_bits
from quantune.cli.progress import choose
from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.files import read_json, write_atomic, write_json
from quantune.ingress.model import Model
from quantune.job import Job
from quantune.job.data import pictures_for
from quantune.job.folder import JobOptions, start_job
from quantune.plan.budget import Goal, parse_budget
from quantune.plan.schema import Plan
from quantune.search.evaluate import Evaluator

RUNS = Path("build/amed")
MODELS = ("resnet18", "vgg16", "squeezenet", "mobilenet_v2")
MENU = (2, 3, 4, 8)
NUMBERS = {
    "pictures": 8000,
    "test": 10_000,
    "batches": 120,
    "batch": 64,
    "interval": 10,
    "validation": TrainingSettings.validation,
    "rate": TrainingSettings.rate,
    "seed": 0,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: what is trained, or planned after training.

    average: bits of a weight, at most. own: the target's menu instead of MENU. planned: the method whose
    latency is a limit as well.
    """

    method: str
    average: int
    own: bool = False
    signal: Signal = "table"
    planned: str | None = None

    @property
    def trained(self) -> bool:
        return not self.method.startswith("v2")


CASES = (
    *(Case("v2", 3), Case("uniform", 3), Case("amed", 3, planned="v2")),
    Case("amed, no signal", 3, signal="none"),
    *(Case("v2", 4), Case("uniform", 4), Case("amed", 4, planned="v2")),
    Case("v2, target's menu", 5, own=True),
    Case("amed, target's menu", 5, own=True, planned="v2, target's menu"),
)


@dataclasses.dataclass(eq=False)
class Study:
    """One network: its job, its evaluation on test pictures, and what it is trained on."""

    name: str
    job: Job
    training: Dataset
    evaluate: Evaluator
    settings: TrainingSettings
    folder: Path
    again: bool

    def run(self, case: Case) -> dict[str, Any]:
        """The record of one case, from its file if nothing has changed since."""
        path = self.folder / f"{case.method.replace(' ', '-').replace(',', '')}-{case.average}.json"
        facts = (self.job.model.graph.fingerprint, self.job.target.name, self.settings, case)
        pictures = (self.evaluate.data.fingerprint, self.training.fingerprint)
        key = hashlib.sha256(repr((*facts, *pictures)).encode()).hexdigest()[:24]
        if path.exists() and not self.again and (found := read_json(path)).get("key") == key:
            return dict(found)
        model, plan, report = self._made(case, path.with_suffix(""))
        record = {"model": self.name, **dataclasses.asdict(case)}
        record |= self._measured(model, plan, path.with_suffix("")) | {"report": report, "key": key}
        write_json(path, record)
        return record

    def _made(self, case: Case, folder: Path) -> tuple[Model, Plan, dict[str, Any]]:
        menu = tuple(sorted(self.job.target.weight_bits_menu)) if case.own else MENU
        budgets = [parse_budget(f"bits={case.average}")]
        if not case.trained:
            plan = self.job.plan("milp", tuple(reversed(menu)), goal=Goal(tuple(budgets)))
            return self.job.model, plan, {}
        if case.planned is not None:
            rival = self.run(dataclasses.replace(case, method=case.planned, planned=None))
            budgets.append(parse_budget(f"latency={1.000001 * rival['predicted_ms']:.9f}ms"))
        if case.method == "uniform":
            menu = (case.average,)
        settings = dataclasses.replace(self.settings, menu=menu, signal=case.signal)
        trained = train_bits(self.job, self.training, budgets, settings, folder)
        return trained.model, trained.plan, trained.report

    def _measured(self, model: Model, plan: Plan, folder: Path) -> dict[str, Any]:
        """Accuracy of the compiled module, and what the plan costs by the target's prices."""
        folder.mkdir(parents=True, exist_ok=True)
        own = Job(model, self.job.target, folder, self.job.calibration, progress=self.job.progress)
        metrics = self.evaluate(own, plan)
        assert metrics.top1 is not None and metrics.fp32_top1 is not None
        bits = tuple(plan.layers[layer.name].weight_bits or 8 for layer in model.graph.contractions)
        costs = costs_of(model.graph, self.job.prices(priced(bits)), bits)
        return {
            "float_accuracy": metrics.fp32_top1 / 100,
            "accuracy": metrics.top1 / 100,
            "average_bits": costs.average_bits(bits),
            "predicted_ms": costs.milliseconds(bits),
            "uniform_int8_ms": costs.milliseconds((8,) * len(bits)),
            "bits": list(bits),
        }


def opened(name: str, asked: argparse.Namespace) -> Study:
    """A network with its post-training job; raises QuantuneError without trained weights."""
    folder = RUNS / asked.target / name
    weights = str(asked.weights / f"{name}@32.safetensors") if asked.weights else None
    spec = JobOptions(
        *(f"zoo:{name}@32", "fashion-mnist", weights, None, asked.target), images=64, costs="modelled"
    )
    job = start_job(spec, folder / "start", choose(as_json=False))
    if not job.model.trained:
        raise QuantuneError(f"{name}@32 has no trained weights; train the zoo first")
    test, training = (
        pictures_for(job.model, "fashion-mnist", pictures, split)
        for pictures, split in ((asked.test, "test"), (asked.pictures, "train"))
    )
    numbers = {key: getattr(asked, key) for key in ("batch", "interval", "validation", "rate", "seed")}
    settings = TrainingSettings(MENU, **numbers)
    seen = len(training) - min(asked.validation, len(training) // 4)
    settings = dataclasses.replace(settings, epochs=asked.batches * min(asked.batch, seen) / seen)
    return Study(name, job, training, Evaluator(job, test, timed=False), settings, folder, asked.again)


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo (default: {' '.join(MODELS)})")
    parser.add_argument(
        "--weights", type=Path, help="a folder of NAME@32.safetensors (default: the zoo's own)"
    )
    parser.add_argument("--target", default="x86-64-avx2", help="whose prices count (default: %(default)s)")
    for name, default in NUMBERS.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    parser.add_argument("--again", action="store_true", help="run even what was run before")
    parser.add_argument("--bits", type=int, help="only cases of this average")
    parser.add_argument("-o", "--output", type=Path, default=amed_results.FOLDER, help="default: %(default)s")
    return parser.parse_args(words)


def main(arguments: Sequence[str] | None = None) -> int:
    asked = arguments_of(arguments)
    torch.set_num_threads(1)  # so that the bits do not depend on the number of cores
    rows: list[dict[str, Any]] = []
    failed = 0
    for name in asked.models or MODELS:
        try:
            study = opened(name, asked)
            for case in CASES:
                if asked.bits in (None, case.average):
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
