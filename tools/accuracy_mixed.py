"""Mixed plans against uniform int8: accuracy and time, where fewer bits are faster.

v2 plans for time, by the prices of the target and what was measured about the network. Both modules are
compiled for the target and timed in turns, in one process; the accuracy is that of the same modules.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from accuracy_case import Case
from quantune import targets
from quantune.backend.benchmark import benchmark
from quantune.backend.contender import CompiledModule
from quantune.files import read_json, write_json
from quantune.job import Job
from quantune.plan.schema import Plan
from quantune.plan.strategies import find

ROUNDS = 20
DROP_DB = 3.0
"""How far the predicted SQNR may fall below uniform int8's; trained networks bear more than the default."""
Row = dict[str, Any]


def targets_here() -> list[str]:
    """Targets of this machine on which a width below 8 bits can be faster; where none is, none."""
    names = ["host", "x86-64-avx2"]
    found = [targets.get(name) for name in names]
    return [target.name for target in found if target.runs_here and len(target.weight_bits_menu) > 1]


def measure(case: Case, target: str) -> Row:
    """A row; kept like a record."""
    other = _other(case, target)
    request = dataclasses.replace(
        case.request,
        target=target,
        prices=other.job.prices(other.job.target.weight_bits_menu),
        menu=other.job.target.weight_bits_menu,
        asked=False,
        max_drop_sqnr_db=DROP_DB,
    )
    plan, base = find("v2")(request), find("uniform-int8")(request)
    int8, mixed = other.measure_plan("int8", base), other.measure_plan("v2", plan)
    return {
        "model": case.model,
        "target": target,
        "plan": f"v2, {DROP_DB:g} dB",
        **_times(other, base, plan, [int8["key"], mixed["key"]]),
        "predicted_ratio": plan.report["predicted_ms"] / plan.report["uniform_int8_ms"],
        "drop": 100 * (int8["top1"] - mixed["top1"]),
        "average_bits": mixed["average_bits"],
        "float_layers": sum(
            plan.layers[layer.name].precision == "float" for layer in case.job.model.graph.contractions
        ),
    }


def _other(case: Case, target: str) -> Case:
    """The same network for another target, compared with the same float logits."""
    job = case.job
    other = Job(
        *(job.imported, targets.get(target), case.folder / target, job.calibration, job.settings),
        *(case.progress, job.kernels, job.costs),
    )
    found = Case(case.model, other, case.options, case.test, case.progress, case.again)
    found.compare_with(case.float_logits())
    return found


def _times(case: Case, base: Plan, plan: Plan, key: list[str]) -> Row:
    """Milliseconds a call, medians of interleaved calls on one thread, and their ratio."""
    path = case.folder / "times.json"
    kept: Row = read_json(path) if path.exists() else {}
    if kept.get("key") != key or case.again:
        contenders = []
        for variant, decided in (("int8", base), ("mixed", plan)):
            vmfb = case.job.build(f"timed-{variant}", decided).path
            words = (case.model, "quantune", variant, vmfb, [case.test.images[:1]], case.job.target.name)
            contenders.append(CompiledModule(*words))
        rows = benchmark(contenders, (1,), ROUNDS, progress=case.progress)
        kept = {f"{row.variant}_ms": row.latency_ms for row in rows}
        kept |= {"disturbed": max(row.disturbed for row in rows), "key": key}
        write_json(path, kept)
    times = {name: value for name, value in kept.items() if name != "key"}
    return times | {"ratio": float(kept["mixed_ms"]) / float(kept["int8_ms"])}
