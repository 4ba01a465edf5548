"""What every layer reaches on this machine, and what bounds it; writes docs/results/rates.md and .json.

A layer has to do its multiply-accumulates, to fetch its weights and to bring its results through the
epilogue. The best rate of each that any layer of the same kernel reaches here counts as attainable; the
longest of the three at those rates is a layer's floor. A network whose time is near the sum of its floors has
no slow layer: only another kernel, or less to fetch, would make it faster. Shallow layers are farthest from
their floors: what a tile takes beside its products is the same for few operands as for many.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from command import finish, for_each
from quantune import targets
from quantune.backend.benchmark import cpu_info
from quantune.backend.dispatches import time_dispatches
from quantune.cli.jobs import VARIANTS, default_folder
from quantune.files import write_atomic, write_json
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.plan.cost import work_of
from quantune.progress import Silent

FOLDER = Path("docs/results")
MODELS = ("resnet18", "resnet50", "vgg16", "squeezenet", "mobilenet_v2", "efficientnet_lite0")
PROFILES = {"host": ("int8", "fp32"), "x86-64-avx2": ("w6",)}
BYTES = {"int8": 1, "fp32": 4, "w6": 1}
LEAST_SHARE = 0.02


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


@dataclass(frozen=True)
class Profile:
    """One network in one variant: its layers that have weights and a kernel, and what the others take."""

    model: str
    target: str
    variant: str
    others_us: float
    layers: Sequence[Layer]

    @property
    def title(self) -> str:
        return f"{self.model}, {self.variant}" + (f" on {self.target}" if self.target != "host" else "")

    @property
    def total(self) -> float:
        return self.others_us + sum(layer.microseconds for layer in self.layers)


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


def summary(profiles: Sequence[Profile], rates: dict[str, dict[str, float]]) -> list[str]:
    """A line for each network."""
    lines = [
        "| network | ms | floors, ms | products | weights | results | no weights |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for found in profiles:
        bound: dict[str, float] = defaultdict(float)
        attainable = found.others_us
        for layer in found.layers:
            least, need = floor(layer, rates)
            attainable += least
            bound[need] += layer.microseconds
        bound["others"] = found.others_us
        shares = [f"{bound[need] / found.total:.0%}" for need in ("products", "weights", "results", "others")]
        cells = (found.title, f"{found.total / 1e3:.2f}", f"{attainable / 1e3:.2f}", *shares)
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def section(found: Profile, rates: dict[str, dict[str, float]]) -> list[str]:
    """One network's table, the heaviest layers first."""
    lines = [
        f"## {found.title}",
        "",
        "| layer | kernel | µs | share | GMAC/s | weights, GB/s | results/ns | floor, µs | bound by |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    shown = [layer for layer in found.layers if layer.microseconds >= LEAST_SHARE * found.total]
    for layer in sorted(shown, key=lambda layer: -layer.microseconds):
        time = layer.microseconds
        least, need = floor(layer, rates)
        speeds = (f"{layer.macs / time / 1e3:.0f}", f"{layer.weight_bytes / time / 1e3:.1f}")
        cells = (
            *(layer.name, layer.kernel, f"{time:.0f}", f"{time / found.total:.1%}", *speeds),
            *(f"{layer.results / time / 1e3:.2f}", f"{least:.0f}", need),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def measure(model: str, target: str, repetitions: int) -> list[Profile]:
    """The profiles of one network for one target."""
    spec = f"zoo:{model}"
    job = start_job(JobOptions(spec, "random:2", target=target), default_folder(spec, target), Silent())
    found = []
    for variant in PROFILES[target]:
        job.build(variant, None if variant == "fp32" else job.plan(VARIANTS[variant]))
        layers, others = layers_of(job, variant, repetitions)
        found.append(Profile(model, target, variant, others, layers))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--repetitions", type=int, default=6, help="of the profile (default: %(default)s)")
    asked = parser.parse_args(arguments)
    profiles: list[Profile] = []
    wanted = [
        (target, model) for target in PROFILES if targets.get(target).runs_here for model in asked.models
    ]

    def one(pair: tuple[str, str]) -> None:
        profiles.extend(measure(pair[1], pair[0], asked.repetitions))

    if for_each(wanted, one, lambda pair: f"{pair[1]} for {pair[0]}"):
        return 1
    rates = best_rates([layer for found in profiles for layer in found.layers])
    page = [
        "# What every layer reaches",
        "",
        "<!-- Generated by `python tools/rates.py`, whose docstring says how to read it. -->",
        "",
        f"{cpu_info()['name']}, one thread, the least of {asked.repetitions} profiles.",
        "A layer's floor is what it would take at the best rate that a layer of the same kernel reaches in",
        "any of these networks. Shares of the time: of layers bound by their products, weights or results.",
        "",
        *summary(profiles, rates),
        *(line for found in profiles for line in section(found, rates)),
    ]
    record = [asdict(found) for found in profiles]
    write_json(FOLDER / "rates.json", {"cpu": cpu_info(), "profiles": record})
    write_atomic(FOLDER / "rates.md", "\n".join(page))
    print(f"Written: {FOLDER / 'rates.md'}")
    return 0


if __name__ == "__main__":
    finish(main)
