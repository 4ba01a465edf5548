"""The plot of searches: the best so far after every trial, a line a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from quantune.report.svg import Axis, Canvas, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760.0, 380.0, 56.0, 220.0, 28.0, 44.0
COLOURS = ("#2563c9", "#d9622b", "#2a9d5c", "#8a4fc4", "#b0303c", "#7a6a4f", "#0f8b9c", "#8c8c8c")
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.mid { text-anchor: middle; } .title { font-weight: 600; } .grid { stroke: #ddd; } .zero { stroke: #888; }
path { fill: none; stroke-width: 1.6; } path.s0 { stroke-width: 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick { fill: #9aa4b0; } .grid { stroke: #30363d; }
}
"""


def best_so_far(curves: Mapping[str, Sequence[float]], title: str, top: float | None = None) -> str:
    """An SVG that stands alone: x the number of trials from 1, y as `title` says; the first curve stands out.

    top: where the y axis ends; without it, at what the better half of the curves begin with.
    """
    canvas = Canvas(WIDTH, HEIGHT, title)
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    lines = "".join(f"path.s{n} {{ stroke: {colour}; }}\n" for n, colour in enumerate(COLOURS))
    style = ElementTree.Element("style")
    style.text = STYLE + lines
    canvas.root.insert(0, style)
    values = [value for curve in curves.values() for value in curve]
    low = min(0.0, *values) if values else 0.0
    high = top if top is not None else _start(curves)
    length = max((len(curve) for curve in curves.values()), default=1)
    x = Axis(1.0, max(float(length), 2.0), LEFT, WIDTH - RIGHT)
    y = Axis(low, high, HEIGHT - BOTTOM, TOP)
    canvas.text(LEFT, 16.0, title, "title")
    canvas.grid(y, [value for value in ticks(low, high) if low <= value <= high], LEFT, WIDTH - RIGHT)
    for trial in sorted({1, *(int(t) for t in ticks(0.0, length) if 1 <= t <= length)}):
        canvas.text(x(trial), HEIGHT - BOTTOM + 18, f"{trial}", "tick mid")
    canvas.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "trials", "tick mid")
    for number, (name, curve) in enumerate(curves.items()):
        points = [(x(i), y(value)) if value <= high else None for i, value in enumerate(curve, 1)]
        place = TOP + 14 + 20 * number
        canvas.path(points, f"s{number % len(COLOURS)}")
        canvas.path([(WIDTH - RIGHT + 16, place), (WIDTH - RIGHT + 40, place)], f"s{number % len(COLOURS)}")
        canvas.text(WIDTH - RIGHT + 46, place + 4, name, "label")
    return canvas.render() + "\n"


def _start(curves: Mapping[str, Sequence[float]]) -> float:
    starts = sorted(curve[min(3, len(curve) - 1)] for curve in curves.values() if len(curve))
    return max(starts[len(starts) // 2] if starts else 1.0, 1e-3) * 1.2
