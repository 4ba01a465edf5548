"""The rows of the one table: every module that was compiled, evaluated or timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantune.peers import PEERS

FLOAT = "fp32"
NAMES = {"iree": "IREE", **PEERS}
"""System → what people call it; ours needs no name."""


@dataclass(frozen=True)
class Row:
    """One module. Fractions for top1 and agreement; None means not measured.

    `speedup` and `smaller` are ratios to the float module: above 1 is faster, smaller.
    `instruction_set`: of a peer, where it is not simply this CPU's.
    """

    model: str
    system: str
    variant: str
    threads: int | None = None
    top1: float | None = None
    images: int | None = None
    agreement: float | None = None
    sqnr_db: float | None = None
    latency_ms: float | None = None
    spread_ms: float | None = None
    size_bytes: int | None = None
    speedup: float | None = None
    smaller: float | None = None
    instruction_set: str | None = None

    @property
    def label(self) -> str:
        if self.system == "quantune":
            return self.variant
        limit = f" ({self.instruction_set})" if self.instruction_set else ""
        return f"{NAMES.get(self.system, self.system)} {self.variant}{limit}"

    @property
    def is_ours(self) -> bool:
        return self.system == "quantune"

    @property
    def is_peer(self) -> bool:
        return self.system in PEERS

    @property
    def is_quantized(self) -> bool:
        return self.is_ours and self.variant != FLOAT


def section(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the metrics, empty when it is missing or null."""
    return metrics.get(name) or {}


def model_name(metrics: dict[str, Any]) -> str:
    return str(section(metrics, "model").get("name") or "")


def variants(metrics: dict[str, Any], *sections: str) -> list[str]:
    """Names of the variants in any of these sections: fp32 first, int8 second, the rest as they come."""
    found = {str(name): None for key in sections for name in section(metrics, key)}
    return sorted(found, key=lambda name: {FLOAT: 0, "int8": 1}.get(name, 2))


def summary_rows(metrics: dict[str, Any]) -> list[Row]:
    """The timed modules in the order of the benchmark, then those only compiled or evaluated."""
    name = model_name(metrics)
    timed = section(metrics, "benchmark").get("rows") or []
    rows = [
        Row(
            model=str(row.get("model") or name),
            system=str(row.get("system") or "quantune"),
            variant=str(row.get("variant") or ""),
            threads=row.get("threads"),
            latency_ms=row.get("latency_ms"),
            spread_ms=row.get("spread_ms"),
            size_bytes=row.get("size_bytes"),
            instruction_set=(row.get("settings") or {}).get("instruction_set"),
        )
        for row in timed
    ]
    known = {row.variant for row in rows if row.is_ours}
    rows += [Row(name, "quantune", v) for v in variants(metrics, "variants", "evaluation") if v not in known]
    one_model = len({row.model for row in rows}) == 1
    rows = [_evaluated(row, metrics) if one_model or row.model == name else row for row in rows]
    return [_compared(row, baseline(rows, row)) for row in rows]


def groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that may be compared with each other: the same model on the same number of threads."""
    found: dict[tuple[str, int | None], list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.threads), []).append(row)
    return list(found.values())


def baseline(rows: Sequence[Row], row: Row) -> Row | None:
    """Quantune's float module of the same model and threads."""
    for other in rows:
        if (
            other.is_ours
            and other.variant == FLOAT
            and (other.model, other.threads) == (row.model, row.threads)
        ):
            return other
    return None


def _evaluated(row: Row, metrics: dict[str, Any]) -> Row:
    if not row.is_ours:
        return row
    results = section(metrics, "evaluation")
    result = results.get(row.variant) or {}
    top1, images = result.get("top1"), result.get("images")
    if top1 is None and row.variant == FLOAT:
        # Every quantized variant is evaluated beside the float module.
        beside: dict[str, Any] = next(
            (r for r in results.values() if r and r.get("fp32_top1") is not None), {}
        )
        top1, images = beside.get("fp32_top1"), beside.get("images")
    compiled = section(metrics, "variants").get(row.variant) or {}
    return replace(
        row,
        top1=top1,
        images=images,
        agreement=None if row.variant == FLOAT else result.get("agreement"),  # with itself: says nothing
        sqnr_db=None if row.variant == FLOAT else result.get("sqnr_db"),
        size_bytes=row.size_bytes if row.size_bytes is not None else compiled.get("size_bytes"),
    )


def _compared(row: Row, reference: Row | None) -> Row:
    if reference is None:
        return row
    return replace(
        row,
        speedup=_ratio(reference.latency_ms, row.latency_ms),
        smaller=_ratio(reference.size_bytes, row.size_bytes),
    )


def _ratio(reference: float | None, value: float | None) -> float | None:
    return reference / value if reference and value else None
