"""What every layer reaches on this machine, and what bounds it; writes docs/results/rates.md and .json.

A layer has to do its multiply-accumulates, to fetch its weights and to bring its results through the
epilogue. The best rate of each that any layer of the same kernel reaches here counts as attainable; the
longest of the three at those rates is a layer's floor. A network whose time is near the sum of its floors has
no slow layer: only another kernel, or less to fetch, would make it faster.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from command import finish
from quantune.backend.benchmark import cpu_info
from quantune.backend.dispatches import time_dispatches
from quantune.errors import QuantuneError
from quantune.files import write_atomic, write_json
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.plan.cost import work_of
from quantune.progress import Silent

FOLDER = Path("docs/results")
MODELS = ("resnet18", "resnet50", "vgg16")
BYTES = {"int8": 1, "fp32": 4}
LEAST_SHARE = 0.015


@dataclass(frozen=True)
class Layer:
    """One dispatch of a microkernel: microseconds, and what it has to do."""

    name: str
    kernel: str
    microseconds: float
    macs: int
    weight_bytes: int
    results: int

    @property
    def needs(self) -> dict[str, int]:
        return {"products": self.macs, "weights": self.weight_bytes, "results": self.results}


def layers_of(job: Job, variant: str, repetitions: int) -> tuple[list[Layer], float]:
    """Layers that have weights and a kernel, and the microseconds of everything else."""
    best: dict[str, float] = {}
    for _ in range(repetitions):
        for found in time_dispatches(job.variant_path(variant)):
            best[found.name] = min(best.get(found.name, found.microseconds), found.microseconds)
    known = {layer.name: work_of(job.model.graph, layer) for layer in job.model.graph.contractions}
    layers, others = [], 0.0
    for name, microseconds in best.items():
        layer, _, kernel = name.rpartition("$")
        if work := known.get(layer):
            size = BYTES[variant] * work.weights
            layers.append(Layer(layer, kernel, microseconds, work.macs, size, work.written))
        else:
            others += microseconds
    return layers, others


def best_rates(layers: Sequence[Layer]) -> dict[str, dict[str, float]]:
    """kernel → products, weights (bytes) and results a microsecond, the most that a layer reaches."""
    rates: dict[str, dict[str, float]] = defaultdict(dict)
    for layer in layers:
        for need, amount in layer.needs.items():
            known = rates[layer.kernel].get(need, 0.0)
            rates[layer.kernel][need] = max(known, amount / layer.microseconds)
    return rates


def floor(layer: Layer, rates: dict[str, dict[str, float]]) -> tuple[float, str]:
    """(microseconds, what takes them)."""
    return max((amount / rates[layer.kernel][need], need) for need, amount in layer.needs.items())


def section(title: str, layers: Sequence[Layer], others: float) -> list[str]:
    """One network's table, the heaviest layers first."""
    rates, total = best_rates(layers), others + sum(layer.microseconds for layer in layers)
    floors = {layer.name: floor(layer, rates) for layer in layers}
    attainable = sum(microseconds for microseconds, _ in floors.values())
    lines = [
        f"## {title}",
        "",
        f"{total / 1e3:.2f} ms in dispatches, {others / 1e3:.2f} ms of it not in layers with weights; "
        f"sum of floors {(attainable + others) / 1e3:.2f} ms.",
        "",
        "| layer | kernel | µs | share | GMAC/s | weights, GB/s | results/ns | floor, µs | bound by |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    shown = [layer for layer in layers if layer.microseconds >= LEAST_SHARE * total]
    for layer in sorted(shown, key=lambda layer: -layer.microseconds):
        time = layer.microseconds
        cells = (
            *(
                layer.name,
                layer.kernel,
                f"{time:.0f}",
                f"{time / total:.1%}",
                f"{layer.macs / time / 1e3:.0f}",
            ),
            *(f"{layer.weight_bytes / time / 1e3:.1f}", f"{layer.results / time / 1e3:.2f}"),
            *(f"{floors[layer.name][0]:.0f}", floors[layer.name][1]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--repetitions", type=int, default=6, help="of the profile (default: %(default)s)")
    asked = parser.parse_args(arguments)
    page = [
        "# What every layer reaches",
        "",
        "<!-- Generated by `python tools/rates.py`, whose docstring says how to read it. -->",
        "",
        f"{cpu_info()['name']}, one thread, the least of {asked.repetitions} profiles.",
        "A layer's floor is what it would take at the best rate that a layer of the same kernel reaches.",
        "",
    ]
    record = []
    for number, model in enumerate(asked.models, 1):
        print(f"[{number}/{len(asked.models)}] {model}", file=sys.stderr, flush=True)
        try:
            job = start_job(JobOptions(f"zoo:{model}", "random:2"), Path("build/jobs") / model, Silent())
            job.build("fp32", None)
            job.build("int8", job.plan("uniform-int8"))
            for variant in BYTES:
                layers, others = layers_of(job, variant, asked.repetitions)
                page += section(f"{model}, {variant}", layers, others)
                kept = [asdict(layer) for layer in layers]
                record.append({"model": model, "variant": variant, "others_us": others, "layers": kept})
        except QuantuneError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    write_json(FOLDER / "rates.json", {"cpu": cpu_info(), "profiles": record})
    write_atomic(FOLDER / "rates.md", "\n".join(page))
    print(f"Written: {FOLDER / 'rates.md'}")
    return 0


if __name__ == "__main__":
    finish(main)
