"""What issue-level promises the table keeps: each goal with its figures, met or missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from accuracy_methods import Method

INT8_DROP, TOOLS_MARGIN, MIXED_DROP, SMALL_DROP = 0.2, 0.1, 0.3, 1.0
WINS_OF_EIGHT = 7 / 8
ROUNDING = 1e-9


@dataclass(frozen=True)
class Goal:
    """`met` is None where nothing was measured that could tell."""

    name: str
    met: bool | None
    figures: str


class Table:
    """Records by model and row; drops in points of top-1 below fp32."""

    def __init__(self, records: Sequence[dict[str, Any]], methods: Sequence[Method]) -> None:
        self.methods = {method.name: method for method in methods}
        self.models = list(dict.fromkeys(record["model"] for record in records))
        self.fp32 = {r["model"]: 100 * r["top1"] for r in records if r["method"] == "fp32"}
        self._found = {(r["model"], r["method"]): r for r in records}

    def rows(self, size: float | None) -> dict[str, list[Method]]:
        """Title → its methods (several where a row is a mean), of one group."""
        found: dict[str, list[Method]] = {}
        for method in self.methods.values():
            if method.size == size:
                found.setdefault(method.title, []).append(method)
        return found

    def drop(self, model: str, methods: Sequence[Method]) -> float | None:
        """Of a row: the mean over its methods; None unless all were measured."""
        records = [self._found.get((model, method.name)) for method in methods]
        tops = [100 * record["top1"] for record in records if record is not None]
        return self.fp32[model] - fmean(tops) if tops and len(tops) == len(methods) else None

    def bits(self, model: str, methods: Sequence[Method]) -> float | None:
        """Average weight bits of a row."""
        records = [self._found.get((model, method.name)) for method in methods]
        found = [record["average_bits"] for record in records if record and "average_bits" in record]
        return fmean(found) if found else None

    def of(self, model: str, name: str) -> float | None:
        """The drop by one method."""
        return self.drop(model, [self.methods[name]]) if name in self.methods else None


def goals(table: Table, mixed: Sequence[dict[str, Any]] = ()) -> list[Goal]:
    """All goals that the accuracy table can judge; `mixed`: rows of accuracy_mixed."""
    return [
        _int8(table),
        _tools(table),
        *(_small(table, size) for size in (4.5, 4.0)),
        *(_beats(table, size) for size in (4.5, 4.0)),
        *(_gain(table, bits) for bits in (4, 3)),
        _mixed(mixed),
    ]


def _each(name: str, values: dict[str, float], holds: Callable[[float], bool], unit: str = "points") -> Goal:
    """A goal for every model: the figures are the worst one and the models that miss it."""
    missed = [f"{model} {value:+.2f}" for model, value in values.items() if not holds(value)]
    worst = f"worst {max(values.values()):+.2f} {unit}; " if values else ""
    figures = f"{worst}{len(values) - len(missed)} of {len(values)} models"
    figures += f"; missed by {', '.join(missed)}" if missed else ""
    return Goal(name, not missed if values else None, figures)


def _int8(table: Table) -> Goal:
    drops = {model: table.of(model, "int8") for model in table.models}
    return _each(
        f"uniform int8 loses at most {INT8_DROP} points",
        {model: drop for model, drop in drops.items() if drop is not None},
        lambda drop: drop <= INT8_DROP + ROUNDING,
    )


def _tools(table: Table) -> Goal:
    """Against the best of all their settings, chosen on the test set: generous to them."""
    behind = {}
    for model in table.models:
        ours = table.of(model, "int8")
        others = [table.of(model, name) for name, method in table.methods.items() if method.role == "tool"]
        best = min((drop for drop in others if drop is not None), default=None)
        if ours is not None and best is not None:
            behind[model] = ours - best
    return _each(
        f"int8 is never worse than ONNX Runtime's or NNCF's best by more than {TOOLS_MARGIN} points",
        behind,
        lambda gap: gap <= TOOLS_MARGIN + ROUNDING,
    )


def _ours(table: Table, model: str, size: float) -> float | None:
    """The drop of our choice at a size: the integer program's where there is one, else v2's."""
    for name in (f"milp@{size:g}", f"v2@{size:g}"):
        if (drop := table.of(model, name)) is not None:
            return drop
    return None


def _small(table: Table, size: float) -> Goal:
    found = {}
    for model in table.models:
        ours, uniform = _ours(table, model, size), table.of(model, "w4")
        if ours is not None and uniform is not None and uniform > SMALL_DROP:
            found[model] = ours
    name = f"at {size:g} bits ours loses at most {SMALL_DROP:g} point where uniform 4 bits loses more"
    if not found and table.models:
        return Goal(name, None, "uniform 4 bits loses more on none of the models")
    return _each(name, found, lambda drop: drop <= SMALL_DROP + ROUNDING)


def _beats(table: Table, size: float) -> Goal:
    """Strictly better top-1 than every baseline of the size that is no oracle."""
    wins, ties, lost = [], [], []
    for model in table.models:
        ours, others = _ours(table, model, size), {}
        for title, row in table.rows(size).items():
            if row[0].role == "baseline" and (drop := table.drop(model, row)) is not None:
                others[title] = drop
        if size == int(size) and (drop := table.of(model, f"w{size:g}")) is not None:
            others["uniform"] = drop
        if ours is None or not others:
            continue
        title, best = min(others.items(), key=lambda item: item[1])
        if ours < best - ROUNDING:
            wins.append(model)
        elif ours < best + ROUNDING:
            ties.append(model)
        else:
            lost.append(f"{model} by {ours - best:.2f} to {title}")
    count = len(wins) + len(ties) + len(lost)
    figures = f"{len(wins)} of {count}" + (f", {len(ties)} equal" if ties else "")
    figures += f"; behind on {', '.join(lost)}" if lost else ""
    name = f"at {size:g} bits ours beats every baseline that is no oracle on 7 of 8 models"
    return Goal(name, len(wins) >= WINS_OF_EIGHT * count if count else None, figures)


def _gain(table: Table, bits: int) -> Goal:
    """No threshold: a figure to be stated."""
    gains = {}
    for model in table.models:
        ours, uniform = _ours(table, model, bits), table.of(model, f"w{bits}")
        if ours is not None and uniform is not None:
            gains[model] = uniform - ours
    name = f"gain over uniform {bits} bits at equal size"
    if not gains:
        return Goal(name, None, "not measured")
    model, most = max(gains.items(), key=lambda item: item[1])
    mean = fmean(gains.values())
    return Goal(name, most > 0, f"up to {most:.2f} points ({model}), {mean:.2f} on average")


def _mixed(rows: Sequence[dict[str, Any]]) -> Goal:
    """For every model, on at least one target: faster than int8, and hardly less accurate."""
    name = f"mixed plans faster than uniform int8 at no more than {MIXED_DROP} points less"
    models = list(dict.fromkeys(row["model"] for row in rows))
    good = {
        row["model"]: row
        for row in sorted(rows, key=lambda row: -row["ratio"])
        if row["ratio"] < 1 and row["drop"] <= MIXED_DROP + ROUNDING
    }
    missed = [model for model in models if model not in good]
    if not models:
        return Goal(name, None, "not measured")
    gains = [1 / row["ratio"] for row in good.values()]
    how = f", {min(gains):.2f} to {max(gains):.2f} times as fast" if gains else ""
    figures = f"{len(good)} of {len(models)} models{how}"
    return Goal(name, not missed, figures + (f"; missed by {', '.join(missed)}" if missed else ""))
