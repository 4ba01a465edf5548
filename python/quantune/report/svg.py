"""Just enough SVG: a canvas that escapes by construction, and axes with round ticks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

# What XML forbids even when escaped; such characters can come from a user's layer names.
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """The text without control characters and lone surrogates."""
    return _FORBIDDEN.sub("\ufffd", text)


@dataclass(frozen=True)
class Axis:
    """Maps values low..high to pixels start..end; beyond a `knee`, logarithmically on both sides of zero."""

    low: float
    high: float
    start: float
    end: float
    knee: float | None = None

    def __call__(self, value: float) -> float:
        low, high, value = (self._bent(v) for v in (self.low, self.high, value))
        share = (value - low) / ((high - low) or 1.0)
        return round(self.start + share * (self.end - self.start), 1)

    def _bent(self, value: float) -> float:
        return value if self.knee is None else math.asinh(value / self.knee)


def decades(low: float, high: float, knee: float) -> list[float]:
    """Zero and, from `knee` on, powers of ten on the sides of it that low..high reaches."""

    def side(end: float) -> list[float]:
        steps = math.ceil(math.log10(max(end / knee, 1.0)) - 1e-9) + 1 if end > 0 else 0
        return [float(f"{knee * 10**step:.6g}") for step in range(steps)]

    return [*(-value for value in reversed(side(-low))), 0.0, *side(high)]


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round values that cover low..high: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        low, high, span = low - 0.5, low + 0.5, 1.0
    rough = span / wanted
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.10g}") for index in range(first, last + 1)]


class Canvas:
    """An inline SVG whose colours come from CSS classes, so that it follows the reader's theme."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height = width, height
        box = f"0 0 {width:g} {height:g}"
        size = {"width": f"{width:g}", "height": f"{height:g}"}
        self.root = ElementTree.Element(
            "svg", {"viewBox": box, **size, "role": "img", "aria-label": clean(label)}
        )

    def _add(self, tag: str, title: str | None, **attributes: object) -> ElementTree.Element:
        named = {key.rstrip("_").replace("_", "-"): _plain(value) for key, value in attributes.items()}
        element = ElementTree.SubElement(self.root, tag, named)
        if title is not None:
            ElementTree.SubElement(element, "title").text = clean(title)
        return element

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self._add("line", None, x1=x1, y1=y1, x2=x2, y2=y2, class_=style)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        style: str,
        title: str | None = None,
        layer: int | None = None,
    ) -> None:
        extra = {} if layer is None else {"data_layer": layer}
        box = {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0)}
        self._add("rect", title, **box, class_=style, **extra)

    def circle(self, x: float, y: float, radius: float, style: str) -> None:
        self._add("circle", None, cx=x, cy=y, r=radius, class_=style)

    def path(self, points: Iterable[tuple[float, float] | None], style: str) -> None:
        """A line through the points, broken where one is None."""
        steps, pen = [], "M"
        for point in points:
            if point is None:
                pen = "M"
                continue
            steps.append(f"{pen}{point[0]:g} {point[1]:g}")
            pen = "L"
        if steps:
            self._add("path", None, d="".join(steps), class_=style)

    def text(self, x: float, y: float, content: str, style: str, turned: bool = False) -> None:
        extra = {"transform": f"rotate(-90 {x:g} {y:g})"} if turned else {}
        self._add("text", None, x=x, y=y, class_=style, **extra).text = clean(content)

    def grid(self, axis: Axis, values: Sequence[float], left: float, right: float, zero: bool = True) -> None:
        """Horizontal lines with their values at the left; the one at zero stands out."""
        for value in values:
            style = "zero" if zero and value == 0 else "grid"
            self.line(left, axis(value), right, axis(value), style)
            self.text(left - 8, axis(value) + 4, f"{value:g}".replace("-", "−"), "tick end")

    def render(self) -> str:
        return ElementTree.tostring(self.root, encoding="unicode", short_empty_elements=True)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else clean(str(value))
