"""What the template shows, taken out of the metrics: plain dictionaries of ready values."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from quantune.report import text
from quantune.report.summary import Row, model_name, section, summary_rows, variants

HEADINGS = {"weight_bits": "weight bits", "sqnr_db": "SQNR (dB)", "mse": "MSE", "size_bytes": "size (bytes)"}


def cpu(value: Any) -> dict[str, Any]:
    """A processor given as an object or only by its name."""
    return value if isinstance(value, dict) else {"name": value} if value else {}


def warnings(metrics: dict[str, Any]) -> list[str]:
    """What makes the figures mean less than they seem to."""
    found = []
    if section(metrics, "model").get("trained") is False:
        found.append(
            "The weights are random, not trained: accuracy figures say nothing about the real model."
        )
    if section(metrics, "calibration").get("random"):
        found.append("Calibrated on random data: ranges and accuracy will differ on real images.")
    passes = section(metrics, "calibration").get("passes")
    if passes not in (None, 2):
        found.append(f"Calibration took {passes} passes over the data set instead of two.")
    return found


def tiles(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Key figures of the variant that the strategy chose: (figure, what it is, of what)."""
    quantized = [row for row in summary_rows(metrics) if row.is_quantized]
    name = model_name(metrics)
    ours = [row for row in quantized if row.model == name] or quantized
    if not ours:
        return []
    chosen = next((row for row in ours if row.variant == metrics.get("strategy")), ours[-1])
    figures = [
        (chosen.speedup and text.times(chosen.speedup), "speed-up", "over fp32"),
        (chosen.latency_ms and text.milliseconds(chosen.latency_ms), "latency", _threads(chosen)),
        (chosen.smaller and text.times(chosen.smaller), "smaller", text.size(chosen.size_bytes)),
        (None if chosen.top1 is None else text.percent(chosen.top1), "top-1", f"{chosen.images or 0} images"),
        (None if chosen.agreement is None else text.percent(chosen.agreement), "agreement", "with fp32"),
        (None if chosen.sqnr_db is None else text.decibels(chosen.sqnr_db), "SQNR", "of the logits"),
    ]
    return [(figure, what, f"{chosen.label}, {of}") for figure, what, of in figures if figure]


def _threads(row: Row) -> str:
    return "median" if row.threads is None else f"{row.threads} thread{'' if row.threads == 1 else 's'}"


def modules(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Every compiled variant with its boundaries (absent for the float module)."""
    facts = section(metrics, "variants")
    keys = ("size_bytes", "compile_seconds", "peak_memory_bytes")
    counts = ("pairs_found", "cancelled", "boundaries_left", "quantize", "dequantize", "requantize")
    found = []
    for name in variants(metrics, "variants"):
        fact = facts[name] or {}
        boundaries = fact.get("boundaries") or {}
        where = [str(place) for place in boundaries.get("where") or []]
        row = {key: fact.get(key) for key in keys} | {key: boundaries.get(key) for key in counts}
        found.append(row | {"name": name, "where": where, "counted": bool(boundaries)})
    return found


def precisions(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many layers, and which share of the multiply-accumulates, each precision has."""
    planned = [layer for layer in layers if layer.get("precision")]
    total = sum(layer.get("macs") or 0 for layer in planned)
    found: dict[str, dict[str, Any]] = {}
    for layer in planned:
        bits = layer.get("weight_bits")
        name = (
            "float"
            if layer["precision"] == "float"
            else f"{bits}-bit weights"
            if bits
            else "integer, no weights"
        )
        entry = found.setdefault(name, {"name": name, "layers": 0, "macs": 0})
        entry["layers"] += 1
        entry["macs"] += layer.get("macs") or 0
    spare = iter((3, 4, 5) * len(found))
    for entry in found.values():
        entry["share"] = entry["macs"] / total if total else None
        entry["colour"] = {"float": 1, "8-bit weights": 2, "integer, no weights": 0}.get(
            entry["name"]
        ) or next(spare)
    return sorted(found.values(), key=lambda entry: -entry["macs"])


def layer(index: int, facts: dict[str, Any]) -> dict[str, Any]:
    """A row of the table of layers; every key present."""
    keys = ("kind", "location", "macs", "precision", "weight_bits", "local_sqnr_db", "accumulated_sqnr_db")
    row: dict[str, Any] = {key: facts.get(key) for key in keys}
    return row | {
        "index": index,
        "name": str(facts.get("name") or f"layer {index}"),
        "shape": text.shape(facts.get("output_shape")),
        "output": facts.get("output") or {},
        "reason": facts.get("reason") or "",
        "alternatives": table(facts.get("alternatives") or []),
        "drawn": _has_histogram(facts),
    }


def table(records: Sequence[Any]) -> dict[str, Any]:
    """Records with whatever keys they have as a table of text."""
    rows = [record if isinstance(record, dict) else {"": record} for record in records]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return {
        "headings": [HEADINGS.get(key, str(key).replace("_", " ")) for key in keys],
        "rows": [[_cell(row.get(key)) for key in keys] for row in rows],
    }


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, (int, float)):
        return text.number(value, 4)
    return value if isinstance(value, str) else json.dumps(value)


def _has_histogram(facts: dict[str, Any]) -> bool:
    return any((facts.get(what) or {}).get("histogram") for what in ("weight", "activation"))


def histograms(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The part of the metrics that the page draws itself, when a layer is chosen."""
    keys = ("name", "kind", "precision", "weight_bits", "output", "weight", "activation")
    return [
        {"index": index} | {key: facts.get(key) for key in keys}
        for index, facts in enumerate(layers)
        if _has_histogram(facts)
    ]


def total(metrics: dict[str, Any], variant: str) -> float:
    """Microseconds of all dispatches of a variant."""
    dispatches = section(metrics, "dispatches").get(variant) or []
    return float(sum(dispatch.get("microseconds") or 0.0 for dispatch in dispatches))


def passes(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What each pass reported, one line each."""
    return [
        (
            str(name),
            ", ".join(f"{str(key).replace('_', ' ')} {_cell(value)}" for key, value in report.items()),
        )
        for name, report in section(metrics, "passes").items()
        if isinstance(report, dict)
    ]


def commands(metrics: dict[str, Any]) -> list[str]:
    """The commands that make this report again, from what the metrics know."""
    if metrics.get("commands"):
        return [str(command) for command in metrics["commands"]]
    model = shlex.quote(model_name(metrics)) if model_name(metrics) else "MODEL"
    data = section(metrics, "calibration").get("dataset")
    data = shlex.quote(str(data)) if data else "DATA"
    options = [
        f"--{key} {shlex.quote(str(value))}"
        for key, value in (
            ("strategy", metrics.get("strategy")),
            ("target", section(metrics, "target").get("name")),
        )
        if value
    ]
    rows = section(metrics, "benchmark").get("rows") or []
    threads = ",".join(dict.fromkeys(str(row["threads"]) for row in rows if row.get("threads"))) or "1"
    return [
        " ".join(["quantune compile", model, "--calibration", data, *options, "-o out"]),
        "quantune eval out --data DATA",
        f"quantune bench out --threads {threads}",
        "quantune report out",
    ]
