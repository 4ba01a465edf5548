"""What the terminal shows: one table, and the verdicts below it."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from quantune.report import text
from quantune.report.summary import Row, model_name, section, summary_rows
from quantune.report.verdicts import verdicts

__all__ = ["summary_table", "verdicts"]


def summary_table(metrics: dict[str, Any]) -> Table:
    """Variant × top-1, agreement with fp32, SQNR of the logits, latency, speed-up and size.

    Speed-up is over Quantune's own fp32 module; a dash stands for what was not measured.
    """
    rows = summary_rows(metrics)
    several_models = len({row.model for row in rows}) > 1
    several_threads = len({row.threads for row in rows if row.threads is not None}) > 1
    table = Table(title=escape(_title(metrics, rows)), title_justify="left")
    if several_models:
        table.add_column("model")
    table.add_column("variant")
    if several_threads:
        table.add_column("threads", justify="right")
    for heading in ("top-1", "agreement", "SQNR", "latency", "spread", "speed-up", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = [escape(row.model)] if several_models else []
        cells.append(escape(row.label))
        if several_threads:
            cells.append(text.number(row.threads))
        table.add_row(*cells, *_figures(row), style=None if row.is_ours else "dim")
    return table


def _figures(row: Row) -> list[str]:
    slower = row.speedup is not None and row.speedup < 1 and row.is_quantized
    speedup = text.times(row.speedup)
    return [
        text.percent(row.top1),
        text.percent(row.agreement),
        text.decibels(row.sqnr_db),
        text.milliseconds(row.latency_ms),
        text.milliseconds(row.spread_ms),
        f"[red]{speedup}[/red]" if slower else speedup,
        text.size(row.size_bytes),
    ]


def _title(metrics: dict[str, Any], rows: list[Row]) -> str:
    images = {row.images for row in rows if row.images}
    threads = {row.threads for row in rows if row.threads}
    parts = [model_name(metrics)] if model_name(metrics) else []
    if len(images) == 1:
        parts.append(f"{images.pop()} images")
    if len(threads) == 1:
        (only,) = threads
        parts.append(f"{only} thread{'s' if only > 1 else ''}")
    cpu = section(metrics, "cpu") or section(metrics, "benchmark").get("cpu") or {}
    if cpu.get("name"):
        parts.append(str(cpu["name"]))
    return ", ".join(parts)
