"""The frontier drawn: predicted SQNR (and measured drop) against latency, and against size, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quantune.report import text
from quantune.report.svg import Axis, Canvas, ticks

PANEL, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 34, 48
CLEAR_DB = 60.0
"""Drawn at the upper edge: from here on there is no difference to f32, whose SQNR has no end."""
NAMES = {"latency": "predicted latency (ms)", "size": "weights and tables (kB)"}
STYLE = """
svg { background: #ffffff; font-family: system-ui, sans-serif; }
text { fill: #586472; font-size: 11px; }
.name { font-size: 11px; fill: #1a2129; } .title { font-size: 13px; fill: #1a2129; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: #dde2e8; } .zero { stroke: #586472; } .hit { fill: transparent; }
.front { fill: none; stroke: #1473c4; stroke-width: 2; } .point { fill: #1473c4; }
.reference { fill: #ffffff; stroke: #d07a1f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  svg { background: #1a2027; } text { fill: #9ba8b6; } .name, .title { fill: #e6eaef; }
  .grid { stroke: #303943; } .zero { stroke: #9ba8b6; } .front { stroke: #4fa3ec; } .point { fill: #4fa3ec; }
  .reference { fill: #1a2027; stroke: #eb9a45; }
}
"""


def frontier_chart(facts: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Two panels; `facts` and `rows` as `report.frontier` has them. Points carry their numbers."""
    label = f"{facts['model']} on {facts['target']}: {len(rows)} plans on two frontiers, as in the table"
    canvas = Canvas(2 * PANEL, TOP + HEIGHT + BOTTOM, label)
    references = [("int8", facts["int8"]), ("fp32", facts["fp32"])]
    levels = [_level(row["sqnr_db"]) for row in rows] + [_level(facts["int8"]["sqnr_db"])]
    marks = ticks(min(levels), max(*levels, min(levels) + 5))
    height = Axis(marks[0], marks[-1], TOP + HEIGHT, TOP)
    for panel, axis in enumerate(NAMES):
        _panel(canvas, panel * PANEL, axis, height, marks, rows, references)
    return canvas.render()


def standalone(svg: str) -> str:
    """A drawing with its own colours, light and dark, for a file of its own."""
    head, _, rest = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'


def _panel(
    canvas: Canvas,
    left: float,
    axis: str,
    height: Axis,
    marks: Sequence[float],
    rows: Sequence[dict[str, Any]],
    references: Sequence[tuple[str, dict[str, Any]]],
) -> None:
    start, end = left + LEFT, left + PANEL - RIGHT
    found = [row for row in rows if row["frontier"] == axis]
    values = [_value(axis, row) for row in [*found, *(reference for _, reference in references)]]
    steps = ticks(0.0, max(values), 8)
    across = Axis(steps[0], steps[-1], start, end)
    canvas.grid(height, marks, start, end, zero=False)
    canvas.text(left + 16, TOP + HEIGHT / 2, "predicted SQNR (dB)", "tick middle", turned=True)
    canvas.text((start + end) / 2, TOP - 16, f"SQNR and {axis}", "title middle")
    for step in steps:
        canvas.line(across(step), TOP, across(step), TOP + HEIGHT, "grid")
        canvas.text(across(step), TOP + HEIGHT + 16, f"{step:g}", "tick middle")
    canvas.text((start + end) / 2, TOP + HEIGHT + 36, NAMES[axis], "tick middle")
    points = [(across(_value(axis, row)), height(_level(row["sqnr_db"]))) for row in found]
    canvas.path(points, "front")
    for name, reference in references:
        x, y = across(_value(axis, reference)), height(_level(reference["sqnr_db"]))
        canvas.circle(x, y, 6, "reference")
        canvas.text(x + 9, y + 15, name, "name")
    for row, (x, y) in zip(found, points, strict=True):
        canvas.circle(x, y, 4, "point")
        canvas.text(x - 5, y - 7, str(row["number"]), "name end")
        canvas.rect(x - 9, y - 9, 18, 18, "hit", _tip(row))


def _value(axis: str, row: dict[str, Any]) -> float:
    return float(row["milliseconds"] if axis == "latency" else row["bytes"] / 1e3)


def _level(sqnr_db: float | None) -> float:
    return CLEAR_DB if sqnr_db is None else min(sqnr_db, CLEAR_DB)


def _tip(row: dict[str, Any]) -> str:
    lines = [
        f"plan {row['number']}: {row['layers']}",
        f"{text.milliseconds(row['milliseconds'])}, {text.size(row['bytes'])}",
        f"SQNR {text.decibels(row['sqnr_db'])}",
    ]
    drop = row["drop"]
    return "\n".join([*lines, f"loses {drop['points']:.2f} points ({drop['measures']})"] if drop else lines)
