"""The comparison in words: faster or slower than what, at which accuracy and size, and what costs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from quantune.report import text
from quantune.report.costs import Cost, costs, culprits
from quantune.report.summary import FLOAT, Row, baseline, groups, model_name, section, summary_rows

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Verdict:
    """One sentence or two, and whether they are good news."""

    text: str
    tone: Tone


def judge(metrics: dict[str, Any]) -> list[Verdict]:
    """Speed of every quantized variant against the float module and against IREE, then accuracy and size."""
    rows = summary_rows(metrics)
    found: list[Verdict] = []
    groupings = groups(rows)
    timed = [group for group in groupings if any(row.latency_ms is not None for row in group)]
    for group in timed:
        prefix = _prefix(group[0], groupings)
        # Dispatches were profiled for the model of this metrics.json, not for others in the same benchmark.
        ours = len({row.model for row in rows}) == 1 or group[0].model == model_name(metrics)
        work = costs(metrics) if ours else []
        for row in group:
            if row.is_quantized and row.latency_ms is not None:
                found += [_prefixed(prefix, verdict) for verdict in _speed(row, group, work)]
    for row in {(r.model, r.variant): r for r in rows if r.is_quantized}.values():
        prefix = _prefix(replace(row, threads=None), groupings)
        found += [_prefixed(prefix, verdict) for verdict in _accuracy(row, metrics) + _size(row, rows)]
    if not timed:
        found += [
            Verdict(str(line), "neutral") for line in section(metrics, "benchmark").get("verdicts") or []
        ]
    return found


def verdicts(metrics: dict[str, Any]) -> list[str]:
    """`judge`, as plain text for the terminal and for `benchmark.verdicts`."""
    return [verdict.text for verdict in judge(metrics)]


def _speed(row: Row, group: Sequence[Row], work: Sequence[Cost]) -> list[Verdict]:
    found: list[Verdict] = []
    reference = baseline(group, row)
    explained = False
    if reference is not None and reference.latency_ms:
        verdict, slower = _compare(row, reference)
        explained = slower
        found.append(_because(verdict, row, work) if slower else verdict)
    for other in group:
        if not other.is_ours and other.latency_ms:
            verdict, slower = _compare(row, other)
            if slower and not explained:
                verdict, explained = _because(verdict, row, work), True
            found.append(verdict)
    return found


def _compare(row: Row, other: Row) -> tuple[Verdict, bool]:
    assert row.latency_ms and other.latency_ms
    ratio = other.latency_ms / row.latency_ms
    latencies = f"{text.milliseconds(row.latency_ms)} against {text.milliseconds(other.latency_ms)}"
    noise = max(row.spread_ms or 0.0, other.spread_ms or 0.0)
    unsure = abs(row.latency_ms - other.latency_ms) <= noise
    doubt = "; less than the spread of the measurement" if unsure else ""
    if row.latency_ms > other.latency_ms:
        told = f"{row.label} is SLOWER than {other.label} ({text.times(ratio)}: {latencies}{doubt})."
        return Verdict(told, "neutral" if unsure else "bad"), True
    if row.latency_ms == other.latency_ms:
        return Verdict(f"{row.label} is as fast as {other.label} ({latencies}).", "neutral"), False
    told = f"{row.label} is {text.times(ratio)} faster than {other.label} ({latencies}{doubt})."
    return Verdict(told, "neutral" if unsure else "good"), False


def _because(verdict: Verdict, row: Row, work: Sequence[Cost]) -> Verdict:
    """Names what costs a slow variant its time."""
    variant = row.variant
    guilty = culprits(work, variant)
    if not guilty:
        return Verdict(
            f"{verdict.text} Which dispatches cost it was not recorded: rerun `quantune bench`.", verdict.tone
        )
    known = any(FLOAT in cost.microseconds for cost in work)
    if known and guilty[0].excess(variant) > 0:
        listed = "; ".join(_blame(cost, variant) for cost in guilty)
        return Verdict(f"{verdict.text} These dispatches cost it: {listed}.", verdict.tone)
    listed = "; ".join(f"{_named(c, variant)} {text.microseconds(c.microseconds[variant])}" for c in guilty)
    return Verdict(f"{verdict.text} Most of its time goes to these dispatches: {listed}.", verdict.tone)


def _blame(cost: Cost, variant: str) -> str:
    spent = f"{_named(cost, variant)} {text.microseconds(cost.microseconds[variant])}"
    if FLOAT in cost.microseconds:
        return f"{spent} against {text.microseconds(cost.microseconds[FLOAT])}"
    return f"{spent}, which fp32 does not have"


def _named(cost: Cost, variant: str) -> str:
    first, *others = cost.dispatches[variant]
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more} ({cost.key})" if cost.is_layer else f"{first}{more}"


def _accuracy(row: Row, metrics: dict[str, Any]) -> list[Verdict]:
    if row.top1 is None and row.agreement is None and row.sqnr_db is None:
        return []
    result = section(metrics, "evaluation").get(row.variant) or {}
    float_top1 = result.get("fp32_top1", (section(metrics, "evaluation").get(FLOAT) or {}).get("top1"))
    parts, tone = [], "neutral"
    if row.top1 is not None:
        against = f" against {text.percent(float_top1)} of fp32" if float_top1 is not None else ""
        parts.append(f"has a top-1 of {text.percent(row.top1)}{against}")
        if float_top1 is not None:
            tone = "good" if row.top1 >= float_top1 else "bad" if row.top1 < float_top1 - 0.01 else "neutral"
    if row.agreement is not None:
        parts.append(f"agrees with fp32 on {text.percent(row.agreement)} of {text.number(row.images)} images")
    if row.sqnr_db is not None:
        parts.append(f"has an SQNR of {text.decibels(row.sqnr_db)} at the logits")
    return [Verdict(f"{row.label} {_joined(parts)}.", tone)]  # type: ignore[arg-type]


def _size(row: Row, rows: Sequence[Row]) -> list[Verdict]:
    reference = baseline(rows, row)
    if row.smaller is None or reference is None or row.size_bytes == reference.size_bytes:
        return []
    sizes = f"({text.size(row.size_bytes)} against {text.size(reference.size_bytes)})"
    if row.smaller > 1:
        return [Verdict(f"{row.label} is {text.times(row.smaller)} smaller than fp32 {sizes}.", "good")]
    return [Verdict(f"{row.label} is LARGER than fp32 {sizes}.", "bad")]


def _prefix(row: Row, groupings: Sequence[Sequence[Row]]) -> str:
    parts = []
    if len({group[0].model for group in groupings}) > 1:
        parts.append(row.model)
    if len({group[0].threads for group in groupings}) > 1 and row.threads is not None:
        parts.append(f"{row.threads} thread{'s' if row.threads > 1 else ''}")
    return f"{', '.join(parts)}: " if parts else ""


def _prefixed(prefix: str, verdict: Verdict) -> Verdict:
    return Verdict(prefix + verdict.text, verdict.tone)


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
