"""Time per dispatch, the same work of every variant side by side."""

from __future__ import annotations

from collections.abc import Sequence

from quantune.report import text
from quantune.report.charts import WIDTH
from quantune.report.costs import Cost
from quantune.report.svg import Axis, Canvas, ticks

LABEL_WIDTH = 300
VALUE_WIDTH = 70
BAR = 12
GAP = 9
TOP = 26


def dispatch_chart(work: Sequence[Cost], names: Sequence[str], limit: int = 25) -> str | None:
    """Horizontal bars of the `limit` costliest layers or operations; None when nothing was profiled.

    `names` are the variants, in the order of their bars, which have the classes `series-0`, `series-1`, …
    """
    shown = work[:limit]
    if not shown:
        return None
    longest = max(max(cost.microseconds.values()) for cost in shown)
    marks = ticks(0.0, longest / 1e3 or 1.0, 8)
    row = BAR * len(names) + GAP
    bottom = TOP + row * len(shown)
    canvas = Canvas(WIDTH, bottom + 8, f"Time of the {len(shown)} costliest dispatches in {', '.join(names)}")
    axis = Axis(0.0, marks[-1], LABEL_WIDTH, WIDTH - VALUE_WIDTH)
    for mark in marks:
        canvas.line(axis(mark), TOP - 6, axis(mark), bottom, "zero" if mark == 0 else "grid")
        canvas.text(axis(mark), 14, f"{mark:g} ms", "tick middle")
    for index, cost in enumerate(shown):
        y = TOP + row * index
        middle = y + BAR * len(names) / 2
        canvas.text(LABEL_WIDTH - 10, middle + 4, text.middle_cut(cost.key, 42), "name end")
        for series, name in enumerate(names):
            spent = cost.microseconds.get(name)
            if spent is not None:
                x = axis(spent / 1e3)
                canvas.rect(LABEL_WIDTH, y + BAR * series, x - LABEL_WIDTH, BAR - 1, f"series-{series % 6}")
                canvas.text(x + 5, y + BAR * series + 9, text.microseconds(spent), "value")
        canvas.rect(0, y - GAP / 2, WIDTH, row, "hit", _tip(cost, names))
    return canvas.render()


def _tip(cost: Cost, names: Sequence[str]) -> str:
    lines = [cost.key]
    for name in names:
        if name in cost.microseconds:
            lines.append(
                f"{name} {text.microseconds(cost.microseconds[name])}: {', '.join(cost.dispatches[name])}"
            )
        else:
            lines.append(f"{name}: no such dispatch")
    return "\n".join(lines)
