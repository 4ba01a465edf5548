"""Mixed plans against uniform int8: accuracy and time, on this machine's targets.

v2 plans for time, by the prices of the target. Both modules are then timed in turns, in one process; the
accuracy is that of the same two modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accuracy_case import Case
from accuracy_goals import MIXED_DROP
from quantune import targets
from quantune.backend.benchmark import benchmark
from quantune.backend.contender import CompiledModule
from quantune.files import read_json, write_json
from quantune.plan.schema import Plan
from quantune.plan.strategies import find

ROUNDS = 20
DROPS_DB = (1.0, 3.0)
"""How far the predicted SQNR may fall below uniform int8's; each is a plan of its own."""
Row = dict[str, Any]


def targets_here() -> list[str]:
    """host, and x86-64-avx2 where that is less than what the host has: there fewer bits are faster."""
    small, host = targets.get("x86-64-avx2"), targets.get("host")
    return ["host", *([small.name] if small.runs_here and host.avx512_vnni else [])]


def measure(case: Case, again: bool = False) -> list[Row]:
    """One row for every plan; kept like a record."""
    return [_row(case, drop, again) for drop in DROPS_DB]


def _row(case: Case, drop_db: float, again: bool) -> Row:
    method = f"fast-{drop_db:g}dB"
    plan = case.job.plan("v2", max_drop_sqnr_db=drop_db)
    base = find("uniform-int8")(case.request)
    int8, mixed = case.measure_plan("int8", base), case.measure_plan(method, plan)
    path = case.folder / "records" / f"time-{method}.json"
    key = [int8["key"], mixed["key"]]
    kept: Row | None = read_json(path) if path.exists() and not again else None
    if kept is None or kept["key"] != key:
        kept = _times(case, base, plan) | {"key": key}
        write_json(path, kept)
    return {
        "model": case.model,
        "target": case.job.target.name,
        "plan": f"v2, {drop_db:g} dB",
        "ratio": float(kept["mixed_ms"]) / float(kept["int8_ms"]),
        "int8_ms": kept["int8_ms"],
        "mixed_ms": kept["mixed_ms"],
        "predicted_ratio": plan.report["predicted_ms"] / plan.report["uniform_int8_ms"],
        "drop": 100 * (int8["top1"] - mixed["top1"]),
        "average_bits": mixed["average_bits"],
        "float_layers": sum(
            choice.precision == "float" and case.job.model.graph.layer(name).is_contraction
            for name, choice in plan.layers.items()
        ),
    }


def _times(case: Case, base: Plan, plan: Plan) -> Row:
    """Milliseconds a call, medians of interleaved calls on one thread."""
    contenders = []
    for variant, decided in (("int8", base), ("mixed", plan)):
        built = case.job.build(f"timed-{variant}", decided)
        contenders.append(
            CompiledModule(
                *(case.model, "quantune", variant, built.path, [case.test.images[:1]], case.job.target.name)
            )
        )
    rows = benchmark(contenders, (1,), ROUNDS, progress=case.progress)
    found: Row = {f"{row.variant}_ms": row.latency_ms for row in rows}
    return found | {"disturbed": max(row.disturbed for row in rows)}


def best(rows: Sequence[Row]) -> list[Row]:
    """For every model and target the fastest plan that is accurate enough, else the most accurate one."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["model"], row["target"]), []).append(row)

    def rank(row: Row) -> tuple[bool, float]:
        accurate = row["drop"] <= MIXED_DROP
        return not accurate, row["ratio"] if accurate else row["drop"]

    return [min(group, key=rank) for group in found.values()]
