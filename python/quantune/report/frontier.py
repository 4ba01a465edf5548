"""The frontier for people and scripts: rows of a table, SVG, one HTML file, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from quantune import __version__
from quantune.report import text
from quantune.report.frontier_chart import frontier_chart, standalone
from quantune.report.svg import clean
from quantune.report.templating import templates

if TYPE_CHECKING:
    from quantune.plan.frontier import Point

SCHEMA = "quantune.frontier/1"
HEADINGS = ("plan", "frontier", "latency", "size", "SQNR", "layers", "drop")


def row_of(number: int, point: Point, drop: dict[str, Any] | None) -> dict[str, Any]:
    """A plan as one JSON object; `drop` is what was measured, if anything was."""
    widths = Counter(
        f"w{choice.weight_bits}" if choice.precision == "integer" else "f32"
        for choice in point.plan.layers.values()
        if choice.weight_bits is not None
    )
    return {
        "number": number,
        "frontier": point.axis,
        "milliseconds": point.milliseconds,
        "bytes": point.bytes,
        "sqnr_db": point.sqnr_db,
        "average_bits": point.plan.report["average_bits"],
        "layers": ", ".join(f"{count} {width}" for width, count in sorted(widths.items(), reverse=True)),
        "drop": drop,
    }


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table, under HEADINGS."""
    drop = row["drop"]
    return (
        str(row["number"]),
        row["frontier"],
        text.milliseconds(row["milliseconds"]),
        text.size(row["bytes"]),
        "exact" if row["sqnr_db"] >= 150 else text.decibels(row["sqnr_db"]),
        row["layers"],
        text.NONE if drop is None else f"{drop['points']:.2f}",
    )


def rendered(suffix: str, facts: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The content of a file that ends in `suffix`: .svg, .html or .json."""
    if suffix == ".json":
        document = {"schema": SCHEMA, **facts, "points": list(rows)}
        return json.dumps(text.sanitized(document), indent=1, allow_nan=False) + "\n"
    drawing = frontier_chart(facts, rows)
    if suffix == ".svg":
        return standalone(drawing)
    measured = next((row["drop"] for row in rows if row["drop"]), None)
    page = templates().get_template("frontier.html.j2")
    return clean(
        page.render(
            facts=facts,
            version=__version__,
            chart=Markup(drawing),  # Canvas escapes everything that it is given
            headings=HEADINGS if measured else HEADINGS[:-1],
            rows=[cells(row) for row in rows],
            measured=measured,
        )
    )
