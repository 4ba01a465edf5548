"""Every method of post-training quantization switched on by itself, for docs/results/ablation.*

Uniform plans of 8 and 4 weight bits for the trained 32x32 zoo, calibrated on training pictures. Every row is
compiled by IREE and run on test pictures. Results are kept in build/ablation/ under all that they depend on,
so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import ablation_results
from command import finish
from quantune.backend.runner import HostRunner
from quantune.cli.output import Output
from quantune.data.dataset import Dataset, Image
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.graph.model import Graph
from quantune.job import Job
from quantune.job.cache import key_of
from quantune.job.data import pictures_for
from quantune.job.folder import JobOptions, start_job
from quantune.job.metrics import METHODS
from quantune.plan.schema import Plan, decisions
from quantune.plan.settings import Settings
from quantune.progress import Progress

RUNS = Path("build/ablation")
DATA = "fashion-mnist"
MODELS = ("resnet18", "resnet50", "vgg16", "squeezenet", "mobilenet_v1", "mobilenet_v2")
STRATEGIES = {8: "uniform-int8", 4: "uniform-w4"}
IMAGES, CALIBRATION = 2000, 128
SPOILED, TOO_BRIGHT = 64, 10
Record = dict[str, Any]


PLAIN = Settings(bias_correction=False)
"""The defaults without the one that mends."""


@dataclass(frozen=True)
class Row:
    """One setting.

    against: the row that it differs from in this one method. bits: of the weights.
    clipped: weights below 6 bits as plans clip them. spoiled: see `_spoiled`.
    """

    name: str
    settings: Settings = PLAIN
    against: str = "plain"
    bits: tuple[int, ...] = (8, 4)
    clipped: bool = True
    spoiled: bool = False


TENSOR = replace(PLAIN, granularity="tensor")
ROWS = (
    Row("plain", against="observer min-max"),
    Row("observer min-max", replace(PLAIN, observer="min-max")),
    Row("observer percentile", replace(PLAIN, observer="percentile"), "observer min-max"),
    Row("observer entropy", replace(PLAIN, observer="entropy"), "observer min-max"),
    *(
        Row(f"spoiled, {name}", replace(PLAIN, observer=name), "spoiled, min-max", bits=(8,), spoiled=True)
        for name in ("mse", "min-max", "percentile", "entropy")
    ),
    Row("weights not clipped", bits=(4,), clipped=False),
    Row("symmetric", replace(PLAIN, scheme="symmetric")),
    Row("symmetric-unsigned", replace(PLAIN, scheme="symmetric-unsigned"), "symmetric"),
    Row("power-of-two", replace(PLAIN, scheme="power-of-two"), "symmetric"),
    Row("bias correction", Settings()),
    Row("learned rounding", replace(PLAIN, rounding="learned"), bits=(4,)),
    Row("learned rounding, bias correction", Settings(rounding="learned"), "learned rounding", (4,)),
    Row("equalized", replace(PLAIN, equalize=True)),
    Row("tensor", TENSOR),
    Row("tensor, equalized", replace(TENSOR, equalize=True), "tensor"),
    Row("tensor, bias correction", replace(TENSOR, bias_correction=True), "tensor"),
)


def measure(model: str, weights: Path | None, images: int, progress: Progress) -> list[Record]:
    """The records of one network: fp32's, then every row's in every width that it has."""
    path = None if weights is None else weights / f"{model}@32.safetensors"
    if path is not None and not path.is_file():
        raise QuantuneError(f"{path} is missing; train it with tools/train_zoo.py, or leave {model} out")
    options = JobOptions(
        f"zoo:{model}@32", DATA, None if path is None else str(path), images=CALIBRATION, costs="modelled"
    )
    plain = start_job(options, RUNS / model, progress)
    test = pictures_for(plain.model, DATA, images)
    plain.build("fp32", None)
    records = [_record(plain, "fp32", 32, None, test, None)]
    for row in ROWS:
        for bits in row.bits:
            print(f"{model}: {row.name}, {bits} bits", file=sys.stderr, flush=True)
            try:
                job = _job(plain, row)
                plan = job.plan(STRATEGIES[bits])
                plan = plan if row.clipped else _unclipped(plan, job.model.graph)
                records.append(_record(job, row.name, bits, plan, test, row.against))
            except QuantuneError as error:  # no chain to equalize, say: the table shows a gap
                print(f"left out: {error}", file=sys.stderr, flush=True)
    return [record | {"model": model} for record in records]


def _job(plain: Job, row: Row) -> Job:
    """What has statistics of its own has a folder: equalized weights, spoiled calibration sets."""
    own = "equalized" if row.settings.equalize else "spoiled" if row.spoiled else "."
    calibration = _spoiled(plain.calibration) if row.spoiled else plain.calibration
    return Job(plain.imported, plain.target, plain.folder / own, calibration, row.settings, plain.progress)


def _spoiled(data: Dataset) -> Dataset:
    """One picture in SPOILED is TOO_BRIGHT times as bright, as a file in other units would be."""

    def read(index: int) -> Image:
        return data.read(index) * np.float32(1 if index % SPOILED else TOO_BRIGHT)

    return replace(data, read=read, context=f"{data.context} spoiled {SPOILED} {TOO_BRIGHT}")


def _unclipped(plan: Plan, graph: Graph) -> Plan:
    """Scales that cover the largest weight of each channel."""
    layers = dict(plan.layers)
    for layer in graph.contractions:
        bits, weight = layers[layer.name].weight_bits, layer.weight
        if bits is None or weight is None:
            continue
        largest = np.abs(weight).max(axis=tuple(range(weight.ndim - 1))).astype(np.float64)
        scales = np.where(largest > 0, largest / ((1 << (bits - 1)) - 1), 1.0)
        layers[layer.name] = replace(layers[layer.name], weight_scales=tuple(scales.tolist()))
    return replace(plan, layers=layers)


def _record(job: Job, name: str, bits: int, plan: Plan | None, test: Dataset, against: str | None) -> Record:
    """Compiles and runs, unless that has been done."""
    decided = None if plan is None else decisions(plan)
    data = (test.fingerprint, job.calibration.fingerprint)
    key = key_of("ablation", job.model.graph.fingerprint, decided, data)
    path = job.folder / "records" / f"{name.replace(', ', '-').replace(' ', '-')}-{bits}.json"
    if path.exists():
        kept: Record = read_json(path)
        if kept.get("key") == key:
            return kept
    variant = "fp32" if plan is None else "tried"
    built = job.build(variant, plan)
    runner = HostRunner(built.path)
    hits = sum(int(np.argmax(runner.run([sample.image])[0])) == sample.label for sample in test)
    found = {"key": key, "method": name, "bits": bits, "against": against, "images": len(test)}
    found |= {"top1": hits / len(test), "did": _did(job, built.reports)}
    write_json(path, found)
    return found


def _did(job: Job, reports: Record) -> Record:
    """Seconds and sizes of changes, without the lists of layers."""
    made = {name: report for name, report in (job.model.reports | reports).items() if name in METHODS}
    return {
        method: {key: value for key, value in report.items() if not isinstance(value, dict | list)}
        for method, report in made.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"of the zoo (default: {' '.join(MODELS)})")
    parser.add_argument("--weights", type=Path, help="a folder of NAME@32.safetensors (default: the zoo's)")
    parser.add_argument("--images", type=int, default=IMAGES, help="of the test set; default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=ablation_results.FOLDER)
    asked = parser.parse_args(arguments)
    progress, records, failed = Output(False).progress, list[Record](), 0
    for model in asked.models or MODELS:
        try:
            records += measure(model, asked.weights, asked.images, progress)
        except QuantuneError as error:
            print(f"error: {model} was not measured: {error}", file=sys.stderr, flush=True)
            failed = 1
        if records:
            paths = ablation_results.write(records, CALIBRATION, asked.output)
    if records:
        print(f"Written: {', '.join(map(str, paths))}")
    return failed


if __name__ == "__main__":
    finish(main)
