"""The exact integer program against the O(n) choice, on the zoo; writes docs/results/exact.md and .json.

Two questions a model. Least noise at 4.5 bits a weight: v2's Lagrangian knapsack against the program, over
the same options. Least time: what v2 decides for AVX2, where narrower weights are faster, against the
fastest plan that is no noisier and no larger. Prices are modelled, so that the figures depend on nothing but
the model and its calibration; noise is predicted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from command import finish
from quantune.errors import QuantuneError
from quantune.files import write_atomic, write_json
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.plan.budget import Goal, parse_budgets
from quantune.plan.knapsack import Option, cheapest
from quantune.plan.schema import Plan
from quantune.plan.solve import best
from quantune.plan.strategies import v2
from quantune.plan.strategies.milp import Exact, exact_of
from quantune.progress import Silent
from quantune.sensitivity.metrics import decibels

T = TypeVar("T")
SMALL = (
    *("resnet18", "resnet50", "vgg16", "squeezenet"),
    *("mobilenet_v1", "mobilenet_v2", "shufflenet_v2", "googlenet"),
)
FOLDER = Path("docs/results")
WIDTHS = (8, 7, 6, 5, 4, 3, 2)
BITS = "bits=4.5"
TARGET = "x86-64-avx2"


def compare(model: str, images: int) -> dict[str, Any]:
    """One row of the table."""
    options = JobOptions(f"zoo:{model}@32", "fashion-mnist", target=TARGET, images=images, costs="modelled")
    job = start_job(options, Path("build/exact") / model, Silent())
    return {"model": model, "trained": job.model.trained, **_at_bits(job), **_fastest(job)}


def _at_bits(job: Job) -> dict[str, Any]:
    exact = exact_of(job.request(WIDTHS, goal=Goal(parse_budgets([BITS]))))
    limits = exact.limits(exact.request.goal)
    items = {
        name: [Option(c.precision, c.costs["noise"], c.costs["bits"]) for c in choices]
        for name, choices in exact.program.choices.items()
    }
    chosen, relaxed = _timed(lambda: cheapest(items, limits["bits"]))
    knapsack = exact.program.total({name: option.name for name, option in chosen.items()})
    found, seconds = _timed(lambda: best(exact.program, "noise", limits, margin=1.0))
    assert found is not None
    return {
        "layers": len(exact.request.graph.contractions),
        "variables": len(exact.program.variables),
        "knapsack_db": decibels(knapsack["noise"]),
        "knapsack_ms": 1e3 * relaxed,
        "exact_db": decibels(found.totals["noise"]),
        "exact_ms": 1e3 * seconds,
    }


def _fastest(job: Job) -> dict[str, Any]:
    request = job.request()
    decided, relaxed = _timed(lambda: v2.plan(request))
    exact = exact_of(request)
    totals = exact.program.total(_assignment(exact, decided))
    limits = {"noise": totals["noise"], "size": totals["size"]}
    found, seconds = _timed(lambda: best(exact.program, "latency", limits))  # type: ignore[arg-type]
    assert found is not None
    return {
        "v2_us": totals["latency"],
        "v2_ms": 1e3 * relaxed,
        "fastest_us": found.totals["latency"],
        "fastest_ms": 1e3 * seconds,
        "int8_us": exact.uniform["latency"],
    }


def _assignment(exact: Exact, plan: Plan) -> Mapping[str, str]:
    def precision(name: str) -> str:
        choice = plan.layers[name]
        if choice.precision == "float":
            return "f32"
        return "a8" if choice.weight_bits is None else f"w{choice.weight_bits}a8"

    return {name: precision(name) for name in exact.program.choices}


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def table(rows: Sequence[dict[str, Any]], images: int) -> str:
    """The page."""
    lines = [
        "# The exact choice against the O(n) choice",
        "",
        f"Made by `python tools/exact.py --images {images}`; read [budgets](../budgets.md) first. Noise is",
        f"predicted, prices are the model's for `{TARGET}`. Left: least noise at 4.5 bits a weight, SQNR of",
        "v2's knapsack and of the program. Right: time of v2's plan, and of the fastest plan that is neither",
        "noisier nor larger, as shares of uniform int8's. In brackets: time to decide.",
        "",
        "| model@32 | layers, variables | knapsack, 4.5 bits | exact, 4.5 bits | v2, time | exact, time |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row["model"] + ("" if row["trained"] else " (random weights)"),
            f"{row['layers']}, {row['variables']}",
            f"{row['knapsack_db']:.2f} dB ({row['knapsack_ms']:.0f} ms)",
            f"{row['exact_db']:.2f} dB ({row['exact_ms']:.0f} ms)",
            f"{row['v2_us'] / row['int8_us']:.3f} ({row['v2_ms']:.0f} ms)",
            f"{row['fastest_us'] / row['int8_us']:.3f} ({row['fastest_ms']:.0f} ms)",
        )
        lines.append(f"| {' | '.join(cells)} |")
    gains = [row["exact_db"] - row["knapsack_db"] for row in rows]
    times = [1 - row["fastest_us"] / row["v2_us"] for row in rows]
    lines += [
        "",
        f"At equal bits the program is {min(gains):.2f} to {max(gains):.2f} dB better "
        f"(mean {sum(gains) / len(gains):.2f});",
        f"at equal noise and size it is {min(times):.1%} to {max(times):.1%} faster "
        f"(mean {sum(times) / len(times):.1%}).",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=SMALL, help="of the zoo (default: all at 32x32)")
    parser.add_argument("--images", type=int, default=32, help="to calibrate on (default: %(default)s)")
    asked = parser.parse_args(arguments)
    rows = []
    for number, model in enumerate(asked.models, 1):
        print(f"[{number}/{len(asked.models)}] {model}", file=sys.stderr, flush=True)
        try:
            rows.append(compare(model, asked.images))
        except QuantuneError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
    write_json(FOLDER / "exact.json", {"images": asked.images, "target": TARGET, "rows": rows})
    write_atomic(FOLDER / "exact.md", table(rows, asked.images))
    print(table(rows, asked.images))
    return 0


if __name__ == "__main__":
    finish(main)
