"""The benchmark's plot: how many times as fast as other engines, a panel for each target and thread count."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from bench_groups import Group
from quantune.report.svg import Axis, Canvas, ticks

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 960.0, 230.0, 48.0, 12.0, 34.0, 28.0
LEGEND = 30.0
BARS = (
    ("fastest quantized, against OpenVINO int8", "a"),
    ("against ONNX Runtime int8", "b"),
    ("fp32, against ONNX Runtime fp32", "c"),
)
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .tick { fill: #666; font-size: 11px; } .end { text-anchor: end; }
.mid { text-anchor: middle; } .title { font-weight: 600; } .value { font-size: 10px; text-anchor: middle; }
.grid { stroke: #ddd; } .zero { stroke: #ddd; } .one { stroke: #222; stroke-dasharray: 4 3; }
.a { fill: #2563c9; } .b { fill: #7aa7e8; } .c { fill: #b9bec6; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6e6e6; } .tick { fill: #9aa4b0; }
  .grid, .zero { stroke: #30363d; } .one { stroke: #e6e6e6; }
}
"""


def draw(found: Sequence[Group]) -> str:
    """An SVG that stands alone: above the dashed line at 1 ours is faster."""
    panels = list(dict.fromkeys((group.target, group.threads) for group in found))
    canvas = Canvas(WIDTH, LEGEND + PANEL * len(panels), "Latency of other engines divided by Quantune's")
    canvas.root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = STYLE
    canvas.root.insert(0, style)
    _legend(canvas)
    highest = max((ratio or 0.0 for group in found for ratio in _heights(group)), default=1.0)
    for number, (target, threads) in enumerate(panels):
        own = [group for group in found if (group.target, group.threads) == (target, threads)]
        _panel(canvas, LEGEND + PANEL * number, own, max(highest, 1.0) * 1.05)
    return canvas.render() + "\n"


def _heights(group: Group) -> list[float | None]:
    return [
        group.ratio(group.fastest, "openvino", "int8"),
        group.ratio(group.fastest, "onnxruntime", "int8"),
        group.ratio("fp32", "onnxruntime", "fp32"),
    ]


def _legend(canvas: Canvas) -> None:
    x = LEFT
    for label, style in BARS:
        canvas.rect(x, 10.0, 12.0, 12.0, style)
        canvas.text(x + 18, 20.0, label, "label")
        x += 38 + 6.4 * len(label)


def _panel(canvas: Canvas, top: float, own: Sequence[Group], highest: float) -> None:
    axis = Axis(0.0, highest, top + PANEL - BOTTOM, top + TOP)
    canvas.text(LEFT, top + 20, f"{own[0].title}; times as fast as other engines", "title")
    canvas.grid(axis, [value for value in ticks(0.0, highest) if value <= highest], LEFT, WIDTH - RIGHT)
    step = (WIDTH - LEFT - RIGHT) / len(own)
    width = min(28.0, step / 4)
    for index, group in enumerate(own):
        middle = LEFT + step * (index + 0.5)
        canvas.text(middle, top + PANEL - BOTTOM + 16, group.model, "mid")
        heights = _heights(group)
        for place, (height, (label, style)) in enumerate(zip(heights, BARS, strict=True)):
            if height is not None:
                x = round(middle + (place - len(BARS) / 2) * width, 1)
                told = f"{group.model}: {label}: {height:.2f}x"
                canvas.rect(x, axis(height), width - 3, axis(0.0) - axis(height), style, told)
                canvas.text(x + (width - 3) / 2, axis(height) - 3, f"{height:.2f}", "value")
    canvas.line(LEFT, axis(1.0), WIDTH - RIGHT, axis(1.0), "one")
