"""What a plan predicts, and what was measured for it, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quantune.report import text

UNTIMED = 1.1
"""A quick benchmark is no more exact than that."""


def sentences(report: dict[str, Any], module_bytes: int | None = None) -> list[str]:
    """Of a plan's report; strategies that look at no prices have nothing to say.

    module_bytes: of the file that was compiled from the plan, code included.
    """
    return list(_sentences(report, module_bytes))


def broken_budget(metrics: dict[str, Any], variant: str) -> str | None:
    """A sentence where the compiled module takes longer than its budget, by more than timing can tell."""
    from quantune.plan.budget import parse_budget

    rows = (metrics.get("benchmark") or {}).get("rows") or []
    time = {row["variant"]: row["latency_ms"] for row in rows if row["system"] == "quantune"}
    for text_of_budget in (metrics.get("plan") or {}).get("budgets") or []:
        budget = parse_budget(text_of_budget)
        if budget.kind != "latency" or not {"fp32", variant} <= time.keys():
            continue
        limit = budget.limit({"latency": time["fp32"] * 1e3}) / 1e3
        if time[variant] > UNTIMED * limit:
            return (
                f"the module took {text.milliseconds(time[variant])} (fp32 "
                f"{text.milliseconds(time['fp32'])}), more than the budget {budget.text}: prices leave out "
                "copies between layers, and the machine may be busy; measure with `quantune bench`, then ask "
                "for less"
            )
    return None


def _sentences(report: dict[str, Any], module_bytes: int | None) -> Iterator[str]:
    if "prices" not in report:
        return
    sources = ", ".join(f"{count} {source}" for source, count in report["prices"].items())
    yield (
        f"Predicted: {_time(report, 'predicted')}, uniform int8 {_time(report, 'uniform_int8')}"
        f"{_float(report, 'ms', _time)} (prices of layers: {sources})"
    )
    if "predicted_bytes" in report:
        module = "" if module_bytes is None else f"; the module with its code has {text.size(module_bytes)}"
        yield (
            f"Weights and tables: {_size(report, 'predicted')}, uniform int8 {_size(report, 'uniform_int8')}"
            f"{_float(report, 'bytes', _size)}; {report['average_bits']:.2f} bits a weight{module}"
        )
    if report.get("budgets"):
        yield f"Within {' and '.join(report['budgets'])}: {_goal(report)}"
    if (drop := report.get("drop")) is not None:
        yield (
            f"Loses {drop['points']:.2f} points ({drop['measures']}, {drop['data']}) where "
            f"{report['max_drop']:g} are permitted: {_goal(report)}; "
            f"{len(report['candidates'])} candidates were compiled and measured"
        )
    if report.get("gap"):
        yield f"The solver ran out of time: a plan better by up to {report['gap']:.1%} may exist"
    if report.get("remark"):
        yield f"Note: {report['remark']}"


def _goal(report: dict[str, Any]) -> str:
    least = {"noise": "the least noise", "latency": "the least time", "size": "the fewest bytes"}
    return f"{least[report['minimized']]}, {text.decibels(report['predicted_sqnr_db'])} predicted"


def _time(report: dict[str, Any], plan: str) -> str:
    return text.milliseconds(report[f"{plan}_ms"])


def _size(report: dict[str, Any], plan: str) -> str:
    return text.size(report[f"{plan}_bytes"])


def _float(report: dict[str, Any], unit: str, written: Any) -> str:
    return f", fp32 {written(report, 'fp32')}" if f"fp32_{unit}" in report else ""
