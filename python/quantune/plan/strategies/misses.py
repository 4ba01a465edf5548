"""Budgets that no plan keeps: how close the best plan comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from quantune.errors import QuantuneError
from quantune.plan.budget import Budget, Goal, Measure
from quantune.plan.program import Program
from quantune.plan.solve import Limits, Solution, best
from quantune.sensitivity.metrics import decibels

LEAST: dict[str, str] = {"latency": "the fastest", "size": "the smallest", "bits": "the narrowest"}


def missed(program: Program, limits: Limits, goal: Goal, fp32: Mapping[Measure, float]) -> QuantuneError:
    """Names the budget that fails by itself; where each can be kept but not all, what the others leave."""
    for budget in goal.budgets:
        found = best(program, budget.kind, {})
        if found is not None and found.totals[budget.kind] > limits[budget.kind] * (1 + 1e-9):
            return QuantuneError(
                f"no plan meets the budget {_stated(budget, limits, fp32)}: {LEAST[budget.kind]} has "
                f"{_amount(budget.kind, found, fp32)} ({composition(program, found)}); "
                f"{_advice(budget.kind, found)}"
            )
    return _together(program, limits, goal, fp32)


def _together(program: Program, limits: Limits, goal: Goal, fp32: Mapping[Measure, float]) -> QuantuneError:
    for budget in goal.budgets:
        others: dict[Measure, float] = {m: limit for m, limit in limits.items() if m != budget.kind}
        found = best(program, budget.kind, others)
        if found is not None:
            rest = [b.text for b in goal.budgets if b != budget]
            rest += [f"the permitted drop of {goal.max_drop_sqnr_db:g} dB"] if "noise" in limits else []
            return QuantuneError(
                f"no plan meets {_stated(budget, limits, fp32)} together with {' and '.join(rest)}: within "
                f"those, {LEAST[budget.kind]} plan has {_amount(budget.kind, found, fp32)} "
                f"({composition(program, found)}); loosen one of them"
            )
    texts = " and ".join(budget.text for budget in goal.budgets)
    within = f" within {texts}" if texts else ""
    found = best(program, "noise", {m: v for m, v in limits.items() if m != "noise"})
    if found is None:
        return QuantuneError(f"no plan meets {texts} together; loosen one of them")
    return QuantuneError(
        f"no plan keeps the permitted drop of {goal.max_drop_sqnr_db:g} dB{within}: "
        f"the best has {decibels(found.totals['noise']):.1f} dB where {decibels(limits['noise']):.1f} dB are "
        f"asked for ({composition(program, found)}); permit a larger drop"
    )


def composition(program: Program, found: Solution) -> str:
    """ "20 layers w4a8, 1 f32": of the layers with weights."""
    names = {layer.name for layer in program.graph.contractions}
    counts = Counter(p for name, p in found.assignment.items() if name in names)
    return ", ".join(f"{count} layers {p}" for p, count in sorted(counts.items())) or "no layer with weights"


def _stated(budget: Budget, limits: Limits, fp32: Mapping[Measure, float]) -> str:
    amount = _number(budget.kind, limits[budget.kind], fp32)
    return f"{budget.text} ({amount})" if budget.relative else budget.text


def _amount(kind: Measure, found: Solution, fp32: Mapping[Measure, float]) -> str:
    share = found.totals[kind] / fp32[kind] if fp32[kind] > 0 else 1.0
    return _number(kind, found.totals[kind], fp32) + ("" if kind == "bits" else f", {share:.3g}x of fp32")


def _number(kind: Measure, value: float, fp32: Mapping[Measure, float]) -> str:
    if kind == "bits":
        return f"{32 * value / fp32['bits']:.2f} bits on average" if fp32["bits"] else "no weights"
    return f"{value / 1e3:.3g} ms" if kind == "latency" else f"{value / 1e3:,.1f} kB"


def _advice(kind: str, found: Solution) -> str:
    if kind == "latency":
        return "allow more, or choose a faster target or a smaller model"
    if kind == "bits":
        return "allow more, or put fewer bits on --menu"
    if any(precision in ("w4a8", "w3a8", "w2a8") for precision in found.assignment.values()):
        return "allow more, or take a smaller model: no kernel stores weights in less than half a byte"
    return "allow more, or let --menu have 4 bits: they take half the bytes of 8 to 5"
