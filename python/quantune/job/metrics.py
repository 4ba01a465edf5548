"""metrics.json: everything that was measured, in one file; the report is drawn from it alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend.benchmark import cpu_info, versions
from quantune.calibration.histogram import Histogram
from quantune.calibration.statistics import Statistics
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.graph.model import Layer
from quantune.job.job import Job
from quantune.job.modules import Built
from quantune.numerics import dequantize, layer_weights, quantize
from quantune.plan.schema import LayerPlan, Plan
from quantune.sensitivity.metrics import decibels
from quantune.sensitivity.result import LayerSensitivity, Sensitivity

SCHEMA = "quantune.metrics/1"
METHODS = ("equalize", "rounding", "bias_correction")
"""What changes constants, and reports that."""
BINS = 64
"""Bins of the histograms in the report: what a chart a few hundred pixels wide can show."""


def load(folder: Path) -> dict[str, Any]:
    """Raises QuantuneError when there is no metrics.json of this version."""
    path = folder / "metrics.json"
    if not path.exists():
        raise QuantuneError(f"{folder} holds no metrics.json; make it with `quantune compile … -o {folder}`")
    metrics = read_json(path)
    if not isinstance(metrics, dict) or metrics.get("schema") != SCHEMA:
        raise QuantuneError(f"{path} is of another version; delete it and rerun `quantune compile`")
    return metrics


def update(folder: Path, section: str, value: Any) -> None:
    """Replaces one section of metrics.json."""
    write_json(folder / "metrics.json", load(folder) | {section: value})


def assemble(
    job: Job, plan: Plan, built: dict[str, Built], sensitivity: Sensitivity | None
) -> dict[str, Any]:
    """The sections that do not need labelled data or a benchmark; `built`: variant → what its build says."""
    statistics, graph = job.statistics(), job.model.graph
    variants = {
        name: {
            "size_bytes": item.size_bytes,
            "compile_seconds": round(item.compile_seconds, 2),
            "peak_memory_bytes": item.peak_memory_bytes,
            "flags": list(item.flags),
            "boundaries": item.reports.get("cancel-qdq"),
        }
        for name, item in built.items()
    }
    return {
        "schema": SCHEMA,
        "model": {
            "name": job.model.name,
            "spec": job.model.spec,
            "fingerprint": graph.fingerprint,
            "trained": job.model.trained,
            "macs": sum(layer.macs for layer in graph),
            "parameters": sum(layer.weight_count for layer in graph),
            "input_shape": list(job.model.input_shape),
        },
        "target": {"name": job.target.name, "cpu": job.target.cpu, "description": job.target.description},
        "strategy": plan.strategy,
        "settings": dataclasses.asdict(plan.settings),
        "methods": {name: made for name, made in _reports(job, built).items() if name in METHODS},
        "plan": plan.report,
        "versions": versions(),
        "cpu": cpu_info(),
        "calibration": {
            "dataset": statistics.dataset,
            "images": statistics.images,
            "random": statistics.is_random,
            "observer": job.settings.observer,
            "passes": 1 if sensitivity is None else sensitivity.passes,
        },
        "variants": variants,
        "layers": [_layer(layer, plan, statistics, sensitivity) for layer in graph],
        "passes": {name: made for name, made in _reports(job, built).items() if name not in METHODS},
    }


def _reports(job: Job, built: dict[str, Built]) -> dict[str, Any]:
    """What was done to the module and its constants, by pass or method."""
    return job.model.reports | built[max(built, key=lambda name: len(built[name].reports))].reports


def _layer(
    layer: Layer, plan: Plan, statistics: Statistics, sensitivity: Sensitivity | None
) -> dict[str, Any]:
    choice = plan.layers[layer.name]
    metrics = sensitivity.layers[layer.name] if sensitivity is not None else LayerSensitivity()
    return {
        "name": layer.name,
        "kind": layer.kind,
        "location": layer.location,
        "output_shape": list(layer.output_shape),
        "macs": layer.macs,
        "precision": choice.precision,
        "weight_bits": choice.weight_bits if choice.precision == "integer" else None,
        "output": None if choice.output is None else dataclasses.asdict(choice.output),
        "reason": choice.reason,
        "alternatives": list(choice.alternatives),
        "weight": _weight(layer, choice, metrics),
        "activation": _activation(layer, choice, statistics, metrics),
        "local_sqnr_db": metrics.local_sqnr_db,
        "local_mse": metrics.local_mse,
        "accumulated_sqnr_db": metrics.accumulated_sqnr_db,
        "accumulated_mse": metrics.accumulated_mse,
    }


def _weight(layer: Layer, choice: LayerPlan, metrics: LayerSensitivity) -> dict[str, Any] | None:
    if layer.weight is None:
        return None
    after = None
    if choice.weight_bits is not None and choice.precision == "integer":
        stored, scales = layer_weights(layer, choice)
        after = _histogram((stored * scales).astype(np.float32), layer.weight)
    return {
        "minimum": float(layer.weight.min()),
        "maximum": float(layer.weight.max()),
        "histogram": _histogram(layer.weight, layer.weight),
        "quantized_histogram": after,
        "sqnr_db": {str(bits): round(decibels(nsr), 2) for bits, nsr in metrics.weight_nsr.items()},
        "mse": {str(bits): mse for bits, mse in metrics.weight_mse.items()},
    }


def _activation(
    layer: Layer, choice: LayerPlan, statistics: Statistics, metrics: LayerSensitivity
) -> dict[str, Any] | None:
    histogram = statistics.histograms.get(layer.name)
    if histogram is None:
        return None
    low = high = after = None
    if choice.output is not None:
        scale, zero = choice.output.scale, choice.output.zero_point
        low, high = -zero * scale, (choice.output.maximum - zero) * scale
        if choice.precision == "integer":
            sample = statistics.samples[layer.name]
            after = _histogram(dequantize(quantize(sample, choice.output), choice.output), sample)
    return {
        "minimum": histogram.minimum,
        "maximum": histogram.maximum,
        "low": low,
        "high": high,
        "histogram": _coarse(histogram),
        "quantized_histogram": after,
        "sqnr_db": metrics.activation_sqnr_db,
        "mse": metrics.activation_mse,
    }


def _histogram(values: NDArray[np.float32], like: NDArray[np.float32]) -> dict[str, list[float]]:
    """Counts of `values` over the range of `like`, so that before and after share their bins."""
    limits = (float(like.min()), float(like.max()))
    counts, edges = np.histogram(values, bins=BINS, range=limits if limits[0] < limits[1] else None)
    return {"edges": [float(f"{e:.6g}") for e in edges], "counts": counts.tolist()}


def _coarse(histogram: Histogram) -> dict[str, list[float]]:
    """The occupied part of a calibration histogram in BINS bins."""
    used = np.flatnonzero(histogram.counts)
    if used.size == 0:
        return {"edges": [0.0, 1.0], "counts": [0]}
    first, last = int(used[0]), int(used[-1]) + 1
    group = -(-(last - first) // BINS)
    starts = list(range(first, last, group))
    counts = np.add.reduceat(histogram.counts[:last], starts)
    edges = [float(histogram.edges[i]) for i in [*starts, last]]
    return {"edges": edges, "counts": counts.tolist()}
