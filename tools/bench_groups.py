"""The benchmark's rows in groups that can be compared."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantune.report.summary import NAMES as OTHERS

NAMES = {"quantune": "Quantune", **OTHERS}
Run = dict[str, Any]
FEWEST = 3
"""So many rounds on undisturbed cores say more than all."""


@dataclass(frozen=True)
class Group:
    """What is compared: one model, one target, as many threads; (system, variant) → row."""

    model: str
    target: str
    threads: int
    rows: dict[tuple[str, str], dict[str, Any]]

    @property
    def title(self) -> str:
        """Target and threads, and who else is limited to which instruction set."""
        limits = {
            NAMES[system]: row["settings"]["instruction_set"]
            for (system, _), row in self.rows.items()
            if row["settings"].get("instruction_set")
        }
        said = "".join(f"; {name}: {limit}" for name, limit in limits.items())
        return f"{self.target}, {self.threads} thread{'s' if self.threads > 1 else ''}{said}"

    def latency(self, system: str, variant: str) -> float | None:
        row = self.rows.get((system, variant))
        return None if row is None else float(row["latency_ms"])

    @property
    def quantized(self) -> list[str]:
        """Our variants that are not fp32, in the order of the run."""
        return [variant for system, variant in self.rows if system == "quantune" and variant != "fp32"]

    @property
    def fastest(self) -> str | None:
        """Our fastest quantized variant."""
        return min(self.quantized, key=lambda variant: self.latency("quantune", variant) or 0.0, default=None)

    def ratio(self, ours: str | None, system: str, variant: str) -> float | None:
        """How many times as long another module takes as ours, in the median round; above 1 we are faster."""
        mine, other = self.rows.get(("quantune", ours or "")), self.rows.get((system, variant))
        if mine is None or other is None:
            return None
        ratios = [b / a for a, b in zip(_turns(mine), _turns(other), strict=True)]
        slow = {*mine.get("slow_turns", ()), *other.get("slow_turns", ())}
        fast = [ratio for index, ratio in enumerate(ratios) if index not in slow]
        return statistics.median(fast if len(fast) >= FEWEST else ratios)

    def ratio_at_best(self, ours: str | None, system: str, variant: str) -> float | None:
        """The same of either's fastest call: what is left of it when neighbours slow down most rounds."""
        mine, other = self.rows.get(("quantune", ours or "")), self.rows.get((system, variant))
        return None if mine is None or other is None else float(other["minimum_ms"] / mine["minimum_ms"])


def slowed(row: Mapping[str, Any]) -> float:
    """The share of a row's turns around which the cores were slow."""
    return len(row.get("slow_turns", ())) / len(_turns(row))


def _turns(row: Mapping[str, Any]) -> Sequence[float]:
    """Milliseconds, one a round; of rows from before these were kept, one for all."""
    return row.get("turns_ms") or [row["latency_ms"]]


def groups(runs: Sequence[Run]) -> list[Group]:
    """By target, then threads, then model, each in the order of the runs."""
    targets = dict.fromkeys(run["target"] for run in runs)
    threads = dict.fromkeys(row["threads"] for run in runs for row in run["rows"])
    found = []
    for target in targets:
        for count in threads:
            for run in runs:
                rows = {(r["system"], r["variant"]): r for r in run["rows"] if r["threads"] == count}
                if run["target"] == target and rows:
                    found.append(Group(run["model"], target, count, rows))
    return found
