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
    """What is claimed, whether that is good news, and the dispatches that it is blamed on."""

    claim: str
    tone: Tone
    items: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.claim} {'; '.join(self.items)}." if self.items else self.claim


def judge(metrics: dict[str, Any]) -> list[Verdict]:
    """Every quantized variant: its speed against the float module and IREE, then its accuracy and size.

    Peers are what the fastest quantized variant has to beat; our float module is compared with theirs.
    """
    rows = summary_rows(metrics)
    groupings = groups(rows)
    models = {row.model for row in rows}
    work = costs(metrics)
    found: list[Verdict] = []
    ours = {(row.model, row.variant): row for row in rows if row.is_ours}
    # What the strategy chose comes first, the float module last; otherwise the order of the table.
    for row in sorted(
        ours.values(), key=lambda row: (row.variant == FLOAT, row.variant != metrics.get("strategy"))
    ):
        # Dispatches were profiled for the model of this metrics.json, not for others in the same benchmark.
        profiled = len(models) == 1 or row.model == model_name(metrics)
        for group in groupings:
            for timed in group:
                if timed.is_ours and (timed.model, timed.variant) == (row.model, row.variant):
                    speed = _speed(timed, group, work if profiled else [])
                    found += _prefixed(_prefix(timed, groupings), speed)
        if row.is_quantized:
            prefix = _prefix(replace(row, threads=None), groupings)
            found += _prefixed(prefix, _accuracy(row, metrics) + _size(row, rows))
    if all(row.latency_ms is None for row in rows):
        found += [
            Verdict(str(line), "neutral") for line in section(metrics, "benchmark").get("verdicts") or []
        ]
    return found


def verdicts(metrics: dict[str, Any]) -> list[str]:
    """`judge`, as plain text for the terminal and for `benchmark.verdicts`."""
    return [verdict.text for verdict in judge(metrics)]


def slow_variants(metrics: dict[str, Any]) -> list[str]:
    """Quantized variants slower than what `judge` compares them with, plain IREE excepted."""
    return list(
        dict.fromkeys(
            row.variant
            for group in groups(summary_rows(metrics))
            for row in group
            if row.is_quantized
            and any(_slower(row, other) for other in _rivals(row, group) if other.system != "iree")
        )
    )


def _rivals(row: Row, group: Sequence[Row]) -> list[Row]:
    """What a module of ours is compared with: of the same model, on as many threads."""
    timed = [other for other in group if other.latency_ms]
    peers = [other for other in timed if other.is_peer]
    if not row.is_quantized:
        return [other for other in peers if other.variant == FLOAT]
    reference = baseline(timed, row)
    quantized = [other for other in timed if other.is_quantized]
    fastest = min(quantized, key=lambda other: other.latency_ms or 0.0, default=row)
    return [
        *([reference] if reference is not None else []),
        *(other for other in timed if not other.is_ours and not other.is_peer),
        *(peers if row == fastest else []),
    ]


def _slower(row: Row, other: Row) -> bool:
    return (row.latency_ms or 0) > (other.latency_ms or 0)


def _speed(row: Row, group: Sequence[Row], work: Sequence[Cost]) -> list[Verdict]:
    """One verdict for each module that beats the variant, one for all that it beats."""
    if row.latency_ms is None:
        return []
    others = _rivals(row, group)
    slower = [other for other in others if _slower(row, other)]
    found = []
    for index, other in enumerate(slower):
        tone: Tone = "neutral" if _unsure(row, other) else "bad"
        verdict = Verdict(f"{row.label} is SLOWER than {_against(row, other)}.", tone)
        found.append(verdict if index or not row.is_quantized else _because(verdict, row.variant, work))
    if faster := [other for other in others if other not in slower]:
        tone = "neutral" if any(_unsure(row, other) for other in faster) else "good"
        claims = [f"{_gain(row, other)} {_against(row, other)}" for other in faster]
        found.append(Verdict(f"{row.label} is {_joined(claims)}.", tone))
    return found


def _gain(row: Row, other: Row) -> str:
    return "as fast as" if row.latency_ms == other.latency_ms else f"{_ratio(row, other)} faster than"


def _against(row: Row, other: Row) -> str:
    latencies = f"{text.milliseconds(row.latency_ms)} against {text.milliseconds(other.latency_ms)}"
    ratio = f"{_ratio(row, other)}: " if (row.latency_ms or 0) > (other.latency_ms or 0) else ""
    doubt = "; less than the spread of the measurement" if _unsure(row, other) else ""
    return f"{other.label} ({ratio}{latencies}{doubt})"


def _ratio(row: Row, other: Row) -> str:
    return text.times((other.latency_ms or 0.0) / row.latency_ms if row.latency_ms else None)


def _unsure(row: Row, other: Row) -> bool:
    noise = max(row.spread_ms or 0.0, other.spread_ms or 0.0)
    return abs((row.latency_ms or 0.0) - (other.latency_ms or 0.0)) <= noise


def _because(verdict: Verdict, variant: str, work: Sequence[Cost]) -> Verdict:
    """Names what costs a slow variant its time."""
    guilty = culprits(work, variant)
    if not guilty:
        return replace(
            verdict, claim=f"{verdict.claim} Which dispatches cost it was not recorded: run `quantune bench`."
        )
    if any(FLOAT in cost.microseconds for cost in work) and guilty[0].excess(variant) > 0:
        why, items = "These dispatches cost it:", [_blame(cost, variant) for cost in guilty]
    else:
        why, items = "Most of its time goes to these dispatches:", [_spent(cost, variant) for cost in guilty]
    return replace(verdict, claim=f"{verdict.claim} {why}", items=tuple(items))


def _blame(cost: Cost, variant: str) -> str:
    if FLOAT in cost.microseconds:
        return f"{_spent(cost, variant)} against {text.microseconds(cost.microseconds[FLOAT])}"
    return f"{_spent(cost, variant)}, which fp32 does not have"


def _spent(cost: Cost, variant: str) -> str:
    first, *others = cost.dispatches[variant]
    more = f" and {len(others)} more" if others else ""
    layer = f" ({cost.key})" if cost.is_layer else ""
    return f"{first}{more}{layer} {text.microseconds(cost.microseconds[variant])}"


def _accuracy(row: Row, metrics: dict[str, Any]) -> list[Verdict]:
    results = section(metrics, "evaluation")
    result = results.get(row.variant) or {}
    float_top1 = result.get("fp32_top1", (results.get(FLOAT) or {}).get("top1"))
    parts: list[str] = []
    tone: Tone = "neutral"
    if row.top1 is not None:
        parts.append(f"has a top-1 of {text.percent(row.top1)}")
        if float_top1 is not None:
            parts[0] += f" (fp32 {text.percent(float_top1)})"
            tone = "good" if row.top1 >= float_top1 else "bad" if row.top1 < float_top1 - 0.01 else "neutral"
    if row.agreement is not None:
        parts.append(f"agrees with fp32 on {text.percent(row.agreement)} of {text.number(row.images)} images")
    if row.sqnr_db is not None:
        parts.append(f"has an SQNR of {text.decibels(row.sqnr_db)} at the logits")
    return [Verdict(f"{row.label} {_joined(parts)}.", tone)] if parts else []


def _size(row: Row, rows: Sequence[Row]) -> list[Verdict]:
    reference = baseline(rows, row)
    if row.smaller is None or reference is None or row.size_bytes == reference.size_bytes:
        return []
    sizes = f"({text.size(row.size_bytes)} against {text.size(reference.size_bytes)})"
    if row.smaller > 1:
        return [Verdict(f"{row.label} is {text.times(row.smaller)} smaller than fp32 {sizes}.", "good")]
    return [Verdict(f"{row.label} is LARGER than fp32 {sizes}.", "bad")]


def _prefix(row: Row, groupings: Sequence[Sequence[Row]]) -> str:
    """What tells this row from those of other models and threads, where there are any."""
    parts = []
    if len({group[0].model for group in groupings}) > 1:
        parts.append(row.model)
    if len({group[0].threads for group in groupings}) > 1 and row.threads is not None:
        parts.append(f"{row.threads} thread{'s' if row.threads > 1 else ''}")
    return f"{', '.join(parts)}: " if parts else ""


def _prefixed(prefix: str, found: Sequence[Verdict]) -> list[Verdict]:
    return [replace(verdict, claim=prefix + verdict.claim) for verdict in found]


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
