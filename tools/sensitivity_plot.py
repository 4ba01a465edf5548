"""The study's plot: for each metric a line from the worst network to the best, and the mean as a dot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np

from quantune.report.svg import Axis, Canvas
from sensitivity_candidates import SHIPPED

WIDTH, ROW, LEFT, RIGHT, TOP = 960.0, 24.0, 440.0, 24.0, 40.0
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.mid { text-anchor: middle; } .strong { font-weight: 600; }
.grid { stroke: #ddd; } .goal { stroke: #222; stroke-dasharray: 4 3; }
.range { stroke: #b9bec6; stroke-width: 3; } .mean { fill: #7aa7e8; } .ours { fill: #2563c9; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick { fill: #9aa4b0; }
  .grid { stroke: #30363d; } .goal { stroke: #e6e6e6; } .range { stroke: #4b535d; }
}
"""
GOAL = 0.8


def draw(found: Mapping[str, Mapping[str, Any]]) -> str:
    """An SVG that stands alone; the dashed line is the goal."""
    metrics = list(next(iter(found.values()))["spearman"])
    height = TOP + ROW * len(metrics) + 12
    canvas = Canvas(WIDTH, height, "Rank correlation of local metrics with the one-at-a-time oracle")
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = STYLE
    canvas.root.insert(0, style)
    axis = Axis(-0.6, 1.0, LEFT, WIDTH - RIGHT)
    for value in np.arange(-0.6, 1.01, 0.2).round(1).tolist():
        canvas.line(axis(value), TOP - 8, axis(value), height - 8, "grid")
        canvas.text(axis(value), TOP - 14, f"{value:g}".replace("-", "−"), "tick mid")
    canvas.line(axis(GOAL), TOP - 8, axis(GOAL), height - 8, "goal")
    for number, metric in enumerate(metrics):
        values = [one["spearman"][metric]["mean"] for one in found.values()]
        y = TOP + ROW * (number + 0.5)
        ours = metric == SHIPPED
        canvas.text(LEFT - 12, y + 4, metric, "end strong" if ours else "end")
        canvas.line(axis(max(min(values), -0.6)), y, axis(max(values)), y, "range")
        canvas.circle(axis(float(np.mean(values))), y, 5, "ours" if ours else "mean")
    return canvas.render() + "\n"
