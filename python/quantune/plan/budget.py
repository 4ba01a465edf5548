"""What a plan may cost: budgets as written on the command line, and what is to be made least within them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from quantune.errors import QuantuneError

Measure = Literal["noise", "latency", "size", "bits"]
"""Of a plan: predicted noise-to-signal ratio of the outputs, microseconds, bytes, bits of all weights."""

UNITS: dict[str, dict[str, float]] = {
    "latency": {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6},
    "size": {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20},
    "bits": {"": 1.0},
}
FORMS = "latency=0.6x, latency=1.5ms, size=0.2x, size=200KB or bits=4.5"
_WRITTEN = re.compile(r"(latency|size|bits)=(\d*\.?\d+)\s*([a-zµ]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Budget:
    """One limit.

    Attributes:
        kind: "latency", "size" (of all constants that ship), or "bits" (the average of all weights).
        amount: a share of fp32's where `relative`, else microseconds, bytes, or bits of a weight.
        text: as it was written.
    """

    kind: Literal["latency", "size", "bits"]
    amount: float
    relative: bool
    text: str

    def limit(self, fp32: Mapping[Measure, float]) -> float:
        """In the units of the measure, given what the network costs in f32."""
        if self.kind == "bits":
            return self.amount * fp32["bits"] / 32
        return self.amount * fp32[self.kind] if self.relative else self.amount


@dataclass(frozen=True)
class Goal:
    """What an exact plan is asked for.

    Attributes:
        budgets: all of them hold.
        max_drop_sqnr_db: below the SQNR of uniform int8 at most; None for as little noise as possible.
        minimize: "noise" without a limit on it; else "latency" or "size".
    """

    budgets: tuple[Budget, ...] = ()
    max_drop_sqnr_db: float | None = None
    minimize: Literal["noise", "latency", "size"] = "noise"

    def menu(self, of_target: Iterable[int]) -> tuple[int, ...]:
        """The widths worth having, widest first: 4 bits take half the bytes of 8, 7 to 5 as many."""
        kinds = {budget.kind for budget in self.budgets} | {self.minimize}
        wanted = {8, *of_target} | ({4} if "size" in kinds else set())
        wanted |= {8, 7, 6, 5, 4, 3} if "bits" in kinds else set()
        return tuple(sorted(wanted, reverse=True))


def parse_budget(text: str) -> Budget:
    """Raises QuantuneError unless `text` is one of FORMS."""
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise QuantuneError(f"a budget is {FORMS}, not {text!r}")
    kind, amount, unit = found[1].lower(), float(found[2]), found[3].lower()
    if amount <= 0:
        raise QuantuneError(f"a budget must be more than 0, not {text!r}")
    known = UNITS[kind]
    if unit == "x" and kind != "bits":
        return Budget(kind, amount, True, text.strip())  # type: ignore[arg-type]
    if unit not in known:
        units = ", ".join(["x (of fp32)", *known] if kind != "bits" else ["none"])
        raise QuantuneError(f"{text!r}: the units of {kind} are {units}")
    if kind == "bits" and not 2 <= amount <= 32:
        raise QuantuneError(f"{text!r}: the average bits of a weight lie between 2 and 32")
    return Budget(kind, amount * known[unit], False, text.strip())  # type: ignore[arg-type]


def parse_budgets(texts: Iterable[str]) -> tuple[Budget, ...]:
    """At most one of a kind; raises QuantuneError."""
    found: dict[str, Budget] = {}
    for text in texts:
        budget = parse_budget(text)
        if budget.kind in found:
            raise QuantuneError(
                f"--budget {found[budget.kind].text} and --budget {budget.text} are both about "
                f"{budget.kind}; give one"
            )
        found[budget.kind] = budget
    return tuple(found.values())
