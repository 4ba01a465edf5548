"""metrics.json → one HTML file that needs nothing else: no network, no fonts, no chart library.

The charts are SVG drawn here, not plotly: its script alone is 4.5 MB in every report and ignores the reader's
colour scheme, whereas these follow it, print, show without JavaScript and leave a report of a few hundred kB.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from quantune import __version__
from quantune.errors import QuantuneError
from quantune.files import write_atomic
from quantune.report import text, views
from quantune.report.charts import precision_words, range_chart, sensitivity_chart
from quantune.report.costs import costs
from quantune.report.dispatch_chart import dispatch_chart
from quantune.report.summary import model_name, section, summary_rows, variants
from quantune.report.svg import clean
from quantune.report.templating import templates
from quantune.report.verdicts import judge

SCHEMA = "quantune.metrics/1"


def write_report(metrics: dict[str, Any], path: Path) -> None:
    """Writes the report of `metrics` (the content of a metrics.json) as one self-contained HTML file.

    Whatever is missing from the metrics is replaced by a line that says which command measures it.
    Raises QuantuneError for metrics of another schema version, or when `path` cannot be written.
    """
    write_atomic(path, render(metrics))


def render(metrics: dict[str, Any]) -> str:
    """The report as text; see `write_report`."""
    found = metrics.get("schema", SCHEMA)
    if found != SCHEMA:
        raise QuantuneError(
            f"metrics have schema {found!r}, this version reads {SCHEMA!r}; rerun `quantune compile`"
        )
    environment = templates()
    environment.filters.update(
        {name: getattr(text, name) for name in ("milliseconds", "microseconds", "seconds", "size", "count")},
        percent=text.percent,
        decibels=text.decibels,
        times=text.times,
        number=text.number,
        shape=text.shape,
        precision=precision_words,
    )
    return clean(environment.get_template("report.html.j2").render(_context(text.sanitized(metrics))))


def _context(metrics: dict[str, Any]) -> dict[str, Any]:
    layers = [layer for layer in metrics.get("layers") or [] if isinstance(layer, dict)]
    work, profiled = costs(metrics), variants(metrics, "dispatches")
    return {
        "version": __version__,
        "name": model_name(metrics) or "unnamed model",
        "model": section(metrics, "model"),
        "target": section(metrics, "target"),
        "strategy": metrics.get("strategy"),
        "calibration": section(metrics, "calibration"),
        "cpu": section(metrics, "cpu") or views.cpu(section(metrics, "benchmark").get("cpu")),
        "versions": section(metrics, "versions") or section(metrics, "benchmark").get("versions") or {},
        "warnings": views.warnings(metrics),
        "verdicts": judge(metrics),
        "tiles": views.tiles(metrics),
        "rows": summary_rows(metrics),
        "modules": views.modules(metrics),
        "precisions": views.precisions(layers),
        "layers": [views.layer(index, layer) for index, layer in enumerate(layers)],
        "kinds": sorted({str(layer["kind"]) for layer in layers if layer.get("kind")}),
        "sensitivity": _svg(sensitivity_chart(layers)),
        "weight_ranges": _svg(range_chart(layers, "weight")),
        "activation_ranges": _svg(range_chart(layers, "activation")),
        "histograms": views.histograms(layers),
        "data": _embedded({"layers": views.histograms(layers)}),
        "dispatches": _svg(dispatch_chart(work, profiled)),
        "profiled": [{"name": name, "total": views.total(metrics, name)} for name in profiled],
        "work": work,
        "passes": views.passes(metrics),
        "commands": views.commands(metrics),
    }


def _svg(chart: str | None) -> Markup | None:
    # Canvas escapes everything that it is given.
    return None if chart is None else Markup(chart)


def _embedded(value: Any) -> Markup:
    """JSON that cannot end the script element that holds it."""
    written = json.dumps(text.shortened(value), separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Markup(written)
