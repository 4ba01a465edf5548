"""The trajectory of a search as a plot: reward's parts above, bits of every layer below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from quantune.report.svg import Axis, Canvas, ticks

WIDTH, LEFT, RIGHT, TOP, PANEL, GAP, ROW = 960.0, 150.0, 16.0, 28.0, 150.0, 34.0, 11.0
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.small { fill: #666; font-size: 9px; text-anchor: end; } .title { font-weight: 600; }
.grid { stroke: #ddd; } .a { stroke: #2563c9; stroke-width: 2; fill: none; }
.phase { stroke: #222; stroke-dasharray: 4 3; }
.b2 { fill: #d7301f; } .b3 { fill: #fc8d59; } .b4 { fill: #fdcc8a; } .b5 { fill: #d9e8f6; }
.b6 { fill: #9ecae1; } .b7 { fill: #6baed6; } .b8 { fill: #2171b5; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick, .small { fill: #9aa4b0; }
  .grid { stroke: #30363d; } .phase { stroke: #e6e6e6; } .a { stroke: #7aa7e8; }
}
"""


def draw(report: dict[str, Any]) -> str:
    """An SVG that stands alone. report: of a training, with its trajectory."""
    records: Sequence[dict[str, Any]] = report["trajectory"]
    layers = len(report["bits"])
    height = TOP + 2 * (PANEL + GAP) + layers * ROW + GAP
    canvas = Canvas(WIDTH, height, "The search for bits, step by step")
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = STYLE
    canvas.root.insert(0, style)
    across = Axis(0, max(1, len(records)), LEFT, WIDTH - RIGHT)
    _curve(canvas, TOP, across, [r["loss"] for r in records], "validation loss")
    _curve(
        canvas,
        TOP + PANEL + GAP,
        across,
        [r["average_bits"] for r in records],
        "bits of a weight, on average",
    )
    top = TOP + 2 * (PANEL + GAP)
    _bits(canvas, top, across, records, report["layers"])
    searched = sum(record["phase"] == "search" for record in records)
    if searched:
        canvas.line(across(searched), TOP, across(searched), top + layers * ROW, "phase")
    return canvas.render() + "\n"


def _curve(canvas: Canvas, top: float, across: Axis, values: Sequence[float], title: str) -> None:
    marks = ticks(min(values, default=0.0), max(values, default=1.0), 4)
    down = Axis(marks[0], marks[-1], top + PANEL, top)
    canvas.text(LEFT, top - 8, title, "title")
    canvas.grid(down, marks, LEFT, WIDTH - RIGHT, zero=False)
    canvas.path([(across(i + 0.5), down(value)) for i, value in enumerate(values)], "a")


def _bits(
    canvas: Canvas, top: float, across: Axis, records: Sequence[dict[str, Any]], layers: Sequence[str]
) -> None:
    """A row a layer, a colour a width; runs of equal width are one rectangle."""
    canvas.text(LEFT, top - 8, "bits of each layer (red 2, orange 3 and 4, blue 5 to 8), by steps", "title")
    for row, name in enumerate(layers):
        y = top + row * ROW
        canvas.text(LEFT - 6, y + ROW - 3, name[-24:], "small")
        start = 0
        for i in range(1, len(records) + 1):
            bits = records[start]["bits"][row]
            if i == len(records) or records[i]["bits"][row] != bits:
                width = across(i) - across(start)
                canvas.rect(across(start), y, width, ROW - 1, f"b{bits}", f"{name}: {bits} bits")
                start = i
