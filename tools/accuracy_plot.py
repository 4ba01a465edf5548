"""The accuracy table's plot: points lost by every choice of one size, a panel a size."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from accuracy_goals import Table
from accuracy_methods import SIZES, Method
from quantune.report.svg import Axis, Canvas, decades

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM, LEGEND = 960.0, 240.0, 48.0, 12.0, 34.0, 28.0, 30.0
KNEE = 1.0
"""Points from which on the axis is logarithmic: a collapse to chance must not flatten all else."""
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.mid { text-anchor: middle; } .title { font-weight: 600; }
.grid { stroke: #ddd; } .zero { stroke: #222; }
.c0 { fill: #d2d6dc; } .c1 { fill: #b9bec6; } .c2 { fill: #e0b15c; } .c3 { fill: #c98a3d; }
.c4 { fill: #6aa84f; } .c5 { fill: #2563c9; } .c6 { fill: #7aa7e8; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick { fill: #9aa4b0; }
  .grid { stroke: #30363d; } .zero { stroke: #e6e6e6; }
}
"""
COLOURS = {
    "uniform": "c0",
    "random": "c1",
    "greedy": "c2",
    "MSE": "c3",
    "one-at-a-time": "c4",
    "**v2**": "c5",
    "**integer": "c6",
}


def draw(table: Table) -> str:
    """An SVG that stands alone: short bars are good."""
    canvas = Canvas(WIDTH, LEGEND + PANEL * len(SIZES), "Points of top-1 accuracy lost at equal size")
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = STYLE
    canvas.root.insert(0, style)
    groups = [(size, _rows(table, size)) for size in SIZES]
    _legend(canvas, dict.fromkeys(title for _, rows in groups for title in rows))
    for number, (size, rows) in enumerate(groups):
        _panel(canvas, LEGEND + PANEL * number, f"{size:g} weight bits on average", table, rows)
    return canvas.render() + "\n"


def _rows(table: Table, size: float) -> dict[str, list[Method]]:
    name = f"w{size:g}" if size == int(size) else "w4"
    return {f"uniform {name[1:]} bits": [table.methods[name]]} | table.rows(size)


def _colour(title: str) -> str:
    return next((colour for start, colour in COLOURS.items() if title.startswith(start)), "c0")


def _legend(canvas: Canvas, titles: Sequence[str] | dict[str, None]) -> None:
    x, seen = LEFT, set[str]()
    for title in titles:
        label = "uniform" if title.startswith("uniform") else title.replace("**", "").split(",")[0]
        if label not in seen:
            seen.add(label)
            canvas.rect(x, 10.0, 12.0, 12.0, _colour(title))
            canvas.text(x + 16, 20.0, label, "label")
            x += 30 + 6.2 * len(label)


def _panel(canvas: Canvas, top: float, title: str, table: Table, rows: dict[str, list[Method]]) -> None:
    drops = {
        (model, name): drop
        for model in table.models
        for name, row in rows.items()
        if (drop := table.drop(model, row)) is not None
    }
    canvas.text(LEFT, top + 20, f"{title}; points of top-1 lost against fp32", "title")
    if not drops:
        return
    low, high = min(0.0, *drops.values()), max(KNEE, *drops.values())
    axis = Axis(low, high * 1.1, top + PANEL - BOTTOM, top + TOP, knee=KNEE)
    canvas.grid(axis, [v for v in decades(low, high, KNEE) if low <= v <= high * 1.1], LEFT, WIDTH - RIGHT)
    step = (WIDTH - LEFT - RIGHT) / len(table.models)
    width = min(18.0, step / (len(rows) + 1))
    for index, model in enumerate(table.models):
        middle = LEFT + step * (index + 0.5)
        canvas.text(middle, top + PANEL - BOTTOM + 18, model, "mid")
        for place, name in enumerate(rows):
            if (drop := drops.get((model, name))) is not None:
                x = round(middle + (place - len(rows) / 2) * width, 1)
                ends = sorted((axis(drop), axis(0.0)))
                told = f"{model}, {name.replace('**', '')}: {drop:.2f} points"
                canvas.rect(x, ends[0], width - 2, max(ends[1] - ends[0], 1.0), _colour(name), told)
