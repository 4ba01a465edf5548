"""The report's charts over layers: sensitivity, and ranges of weights and activations before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantune.report import text
from quantune.report.svg import Axis, Canvas, decades, ticks

WIDTH = 1200
LEFT, RIGHT, TOP = 64, 16, 16
LABEL = 26
"""Characters of a layer's name below an axis."""


@dataclass(frozen=True)
class Columns:
    """One column a layer, in execution order."""

    names: list[str]

    @property
    def step(self) -> float:
        # Below 15 pixels neighbouring names would touch; then the chart scrolls.
        return max(15.0, min(56.0, (WIDTH - LEFT - RIGHT) / max(len(self.names), 1)))

    @property
    def width(self) -> float:
        return round(LEFT + self.step * len(self.names) + RIGHT, 1)

    @property
    def footer(self) -> float:
        return 16 + 5.8 * max((min(len(name), LABEL) for name in self.names), default=0)

    def center(self, index: int) -> float:
        return round(LEFT + self.step * (index + 0.5), 1)

    def write_names(self, canvas: Canvas, y: float) -> None:
        for index, name in enumerate(self.names):
            canvas.text(self.center(index) + 4, y + 10, text.middle_cut(name, LABEL), "name end", turned=True)


def sensitivity_chart(layers: Sequence[dict[str, Any]]) -> str | None:
    """Local SQNR as a dot (hollow for float layers), accumulated as a line; None without measurements."""
    keys = ("local_sqnr_db", "accumulated_sqnr_db")
    shown = [(i, la) for i, la in enumerate(layers) if any(la.get(key) is not None for key in keys)]
    if not shown:
        return None
    values = [la[key] for _, la in shown for key in keys if la.get(key) is not None]
    columns = Columns([str(la.get("name", "")) for _, la in shown])
    marks = ticks(min(0.0, *values), max(values))
    plot = 260
    label = f"SQNR of {len(shown)} layers, local and accumulated; the numbers are in the table of layers"
    canvas = Canvas(columns.width, TOP + plot + columns.footer, label)
    axis = Axis(marks[0], marks[-1], TOP + plot, TOP)
    canvas.grid(axis, marks, LEFT, columns.width - RIGHT)
    canvas.text(16, TOP + plot / 2, "SQNR (dB)", "tick middle", turned=True)
    points: list[tuple[float, float] | None] = []
    for column, (_, layer) in enumerate(shown):
        value = layer.get("accumulated_sqnr_db")
        points.append(None if value is None else (columns.center(column), axis(value)))
    canvas.path(points, "accumulated")
    for column, (index, layer) in enumerate(shown):
        x, local = columns.center(column), layer.get("local_sqnr_db")
        if local is not None:
            canvas.line(x, axis(max(0.0, marks[0])), x, axis(local), "stem")
            canvas.circle(
                x, axis(local), 4.5, "local hollow" if layer.get("precision") == "float" else "local"
            )
        if (point := points[column]) is not None:
            canvas.circle(*point, 2.5, "accumulated-dot")
        canvas.rect(x - columns.step / 2, TOP, columns.step, plot, "hit", _sensitivity_tip(layer), index)
    columns.write_names(canvas, TOP + plot)
    return canvas.render()


def precision_words(layer: dict[str, Any]) -> str:
    """A layer's precision: `float`, or `8-bit weights, 8-bit output`."""
    if layer.get("precision") == "float":
        return "float"
    bits, output = layer.get("weight_bits"), (layer.get("output") or {}).get("bits")
    parts = [f"{bits}-bit weights"] if bits else []
    parts += [f"{output}-bit output"] if output else []
    return ", ".join(parts) or str(layer.get("precision") or "not planned")


def _sensitivity_tip(layer: dict[str, Any]) -> str:
    lines = [
        f"{layer.get('name', '')} ({layer.get('kind', '')})",
        precision_words(layer),
        f"local SQNR {text.decibels(layer.get('local_sqnr_db'))}",
        f"accumulated SQNR {text.decibels(layer.get('accumulated_sqnr_db'))}",
    ]
    return "\n".join([*lines, str(layer["reason"])] if layer.get("reason") else lines)


def range_chart(layers: Sequence[dict[str, Any]], what: str) -> str | None:
    """Ranges of `what` ("weight" or "activation"), as found (wide) and as quantized (narrow)."""
    found = [(i, la, _before(la, what), _after(la, what)) for i, la in enumerate(layers)]
    shown = [(i, la, before, after) for i, la, before, after in found if before is not None]
    if not shown:
        return None
    ends = [end for _, _, before, after in shown for pair in (before, after) if pair for end in pair]
    columns = Columns([str(la.get("name", "")) for _, la, _, _ in shown])
    plot = 240
    label = f"Range of each layer's {what} before and after quantization, {len(shown)} layers"
    canvas = Canvas(columns.width, TOP + plot + columns.footer, label)
    knee = _knee([max(abs(before[0]), abs(before[1])) for _, _, before, _ in shown])
    marks = (
        decades(min(0.0, *ends), max(0.0, *ends), knee) if knee else ticks(min(0.0, *ends), max(0.0, *ends))
    )
    axis = Axis(marks[0], marks[-1], TOP + plot, TOP, knee)
    canvas.grid(axis, marks, LEFT, columns.width - RIGHT)
    canvas.text(14, TOP + plot / 2, "value, log scale" if knee else "value", "tick middle", turned=True)
    wide = min(20.0, columns.step * 0.7)
    for column, (index, layer, before, after) in enumerate(shown):
        x = columns.center(column)
        for pair, width, style in ((before, wide, "before"), (after, wide * 0.45, "after")):
            if pair:
                top = axis(pair[1])
                canvas.rect(x - width / 2, top, width, max(axis(pair[0]) - top, 1.0), style)
        tip = _range_tip(layer, what, before, after)
        canvas.rect(x - columns.step / 2, TOP, columns.step, plot, "hit", tip, index)
    columns.write_names(canvas, TOP + plot)
    return canvas.render()


def _knee(magnitudes: Sequence[float]) -> float | None:
    """Where the scale of values turns logarithmic; None when a linear one leaves most layers legible."""
    present = sorted(value for value in magnitudes if value > 0)
    if not present or present[-1] <= 10 * present[len(present) // 2]:
        return None
    return 10.0 ** math.floor(math.log10(present[len(present) // 4]))


def _before(layer: dict[str, Any], what: str) -> tuple[float, float] | None:
    facts = layer.get(what) or {}
    return _pair(facts.get("minimum"), facts.get("maximum"))


def _after(layer: dict[str, Any], what: str) -> tuple[float, float] | None:
    """What the integers can stand for, or failing that the bins that hold quantized values."""
    facts, output = layer.get(what) or {}, layer.get("output")
    if what == "activation":
        if (pair := _pair(facts.get("low"), facts.get("high"))) is not None:
            return pair
        if output:
            low = -output["zero_point"] * output["scale"]
            return low, low + ((1 << output["bits"]) - 1) * output["scale"]
    histogram = facts.get("quantized_histogram") or {}
    edges, counts = histogram.get("edges") or [], histogram.get("counts") or []
    filled = [index for index, value in enumerate(counts) if value]
    return (edges[filled[0]], edges[filled[-1] + 1]) if filled and len(edges) > filled[-1] + 1 else None


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _range_tip(
    layer: dict[str, Any], what: str, before: tuple[float, float] | None, after: tuple[float, float] | None
) -> str:
    def words(pair: tuple[float, float] | None) -> str:
        return f"{text.number(float(pair[0]))} … {text.number(float(pair[1]))}" if pair else text.NONE

    lines = [f"{layer.get('name', '')} ({what})", f"before {words(before)}", f"after {words(after)}"]
    return "\n".join([*lines, precision_words(layer)])
