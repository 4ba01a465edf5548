"""v2: QuantuneV2's choice. Two inferences, local metrics, O(n).

Every contraction's own noise-to-signal ratio comes from the comparison with its float twin; what fewer
weight bits would add comes from the weights alone (independent errors add, so nsr(b) = local + weight(b) -
weight(8)). To first order a layer's relative noise reaches the outputs unchanged, up to one factor for the
whole network that the quantized run measures: predicted output noise = factor x sum of the layers' noise;
what narrower weights add is never taken to fade (factor 1 at least).
(QuantuneV2, Kim et al. 2025, ranks layers by such local metrics instead of searching.)

- A layer becomes a float island where the share of the noise that this saves (all but the rounding of its
  output, which is stored in integers all the same) is at least FLOAT_GAIN times the price in time,
  boundaries included, and in bytes: there float buys accuracy cheaply.
- A layer gets fewer bits where its share of the added noise stays below its share of the saved bytes times
  a threshold; the threshold is the largest that keeps the predicted SQNR within the permitted drop.

Every decision looks at one layer, so the whole is O(n); the threshold takes a fixed number of halvings.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from quantune.graph.model import Layer
from quantune.plan import cost
from quantune.plan.boundaries import boundaries
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.strategies import uniform
from quantune.plan.strategies.request import Request
from quantune.sensitivity.metrics import decibels
from quantune.sensitivity.result import Sensitivity

FLOAT_GAIN = 1.5
LEAST_SHARE = 0.05  # of the network's noise; below that no island is worth a sentence
HALVINGS = 30
FLOAT_EXTRA_BYTES = 3  # of f32 beyond int8, a weight
BYTES_FOR_TIME = 0.25  # a network that grows by 4 % is as bad as one that slows by 1 %


def plan(request: Request) -> Plan:
    """Needs `request.sensitivity`; a layer without metrics (none of it integer) stays as in uniform int8."""
    assert request.sensitivity is not None
    base = uniform.plan(request)
    noise = {
        la.name: nsr
        for la in request.graph.contractions
        if (nsr := _nsr(request.sensitivity, la.name, 8)) is not None
    }
    factor = request.sensitivity.output_nsr / total if (total := sum(noise.values())) > 0 else 1.0
    islands = _islands(request, noise)
    bits = _weight_bits(
        request, {name: nsr for name, nsr in noise.items() if name not in islands}, islands, factor
    )
    layers = dict(base.layers)
    for layer in request.graph.contractions:
        if layer.name in noise:
            layers[layer.name] = _explained(request, base.layers[layer.name], layer, noise, islands, bits)
    chosen = dataclasses.replace(base, strategy="v2", layers=layers)
    kept = sum(_storage_nsr(request, name) for name in islands)
    predicted = _predicted(request.sensitivity, bits, factor) + factor * kept
    report = {
        "predicted_sqnr_db": decibels(predicted),
        "uniform_int8_sqnr_db": decibels(request.sensitivity.output_nsr),
        "noise_factor": factor,
        "boundaries": len(boundaries(request.graph, chosen)),
        "menu": list(request.menu),
        "max_drop_sqnr_db": request.max_drop_sqnr_db,
    }
    return dataclasses.replace(chosen, report=report)


def _nsr(sensitivity: Sensitivity, name: str, bits: int) -> float | None:
    """Predicted noise-to-signal ratio of one layer at `bits`, or None without measurements."""
    metrics = sensitivity.layers[name]
    if metrics.local_nsr is None:
        return None
    return metrics.local_nsr + max(0.0, metrics.weight_nsr[bits] - metrics.weight_nsr[8])


def _islands(request: Request, noise: dict[str, float]) -> dict[str, str]:
    """Layers worth leaving in float → the reason."""
    graph, float_mac = request.graph, request.float_mac
    total_noise = sum(noise.values())
    total_cost = sum(cost.layer_cost(layer, "integer", float_mac) for layer in graph)
    total_weights = sum(_weights(layer) for layer in graph.contractions)
    readers = graph.consumers()
    found = {}
    for name, nsr in noise.items():
        share = max(0.0, nsr - _storage_nsr(request, name)) / total_noise if total_noise else 0.0
        price = cost.island_cost(graph, graph.layer(name), len(readers[name]), float_mac) / total_cost
        growth = FLOAT_EXTRA_BYTES * _weights(graph.layer(name)) / total_weights
        if share >= LEAST_SHARE and share >= FLOAT_GAIN * (price + BYTES_FOR_TIME * growth):
            found[name] = (
                f"float: saves {share:.0%} of the noise for {price:.1%} more time, boundaries included, "
                f"and {growth:.1%} more bytes"
            )
    return found


def _weights(layer: Layer) -> int:
    return 0 if layer.weight is None else layer.weight.size


def _storage_nsr(request: Request, name: str) -> float:
    """The noise of storing the layer's output in 8 bits, which an island of one layer keeps."""
    assert request.sensitivity is not None
    stored = request.sensitivity.layers[name].activation_sqnr_db
    return 10 ** (-stored / 10) if stored is not None and request.graph.consumers()[name] else 0.0


def _weight_bits(
    request: Request, noise: dict[str, float], islands: dict[str, str], factor: float
) -> dict[str, int]:
    """Integer layer → bits, by the largest threshold that keeps the predicted noise within the budget."""
    assert request.sensitivity is not None
    budget = request.sensitivity.output_nsr * 10 ** (request.max_drop_sqnr_db / 10)
    widest = dict.fromkeys(noise, max(request.menu))
    sizes = {name: request.graph.layer(name).weight.size for name in noise}  # type: ignore[union-attr]
    share = {name: sum(noise.values()) * size / sum(sizes.values()) for name, size in sizes.items()}
    low, high, best = 1e-6, 1e6, widest
    for _ in range(HALVINGS if len(request.menu) > 1 else 0):
        threshold = math.sqrt(low * high)
        chosen = {name: _lowest(request, name, threshold * share[name]) for name in noise}
        if _predicted(request.sensitivity, chosen, factor) <= budget:
            low, best = threshold, chosen
        else:
            high = threshold
    return best


def _lowest(request: Request, name: str, allowed: float) -> int:
    """The fewest bits of the menu whose added noise is allowed."""
    assert request.sensitivity is not None
    weight = request.sensitivity.layers[name].weight_nsr
    return min((b for b in request.menu if weight[b] - weight[8] <= allowed), default=max(request.menu))


def _predicted(sensitivity: Sensitivity, bits: dict[str, int], factor: float) -> float:
    """Noise-to-signal ratio of the outputs: rounding spreads by `factor`, errors of the weights never fade.

    A weight's error is the same at every position, so unlike rounding it does not average out in pooling.
    """
    layers = {name: sensitivity.layers[name] for name in bits}
    local = sum(metrics.local_nsr or 0.0 for metrics in layers.values())
    added = sum(max(0.0, layers[name].weight_nsr[b] - layers[name].weight_nsr[8]) for name, b in bits.items())
    return factor * local + max(factor, 1.0) * added


def _explained(
    request: Request,
    base: LayerPlan,
    layer: Layer,
    noise: dict[str, float],
    islands: dict[str, str],
    bits: dict[str, int],
) -> LayerPlan:
    assert request.sensitivity is not None
    rank = 1 + sum(other > noise[layer.name] for other in noise.values())
    alternatives: list[dict[str, Any]] = [
        {
            "precision": f"w{b}a8",
            "sqnr_db": decibels(_nsr(request.sensitivity, layer.name, b) or 0.0),
            "cost": cost.layer_cost(layer, "integer", request.float_mac),
            "bytes": layer.weight.size * b // 8 if layer.weight is not None else 0,
        }
        for b in request.menu
    ]
    readers = len(request.graph.consumers()[layer.name])
    extra = cost.island_cost(request.graph, layer, readers, request.float_mac)
    alternatives.append(
        {
            "precision": "f32",
            "sqnr_db": None,
            "cost": cost.layer_cost(layer, "integer", request.float_mac) + extra,
        }
    )
    place = f"local SQNR {decibels(noise[layer.name]):.1f} dB, {_ordinal(rank)} noisiest of {len(noise)}"
    if layer.name in islands:
        return dataclasses.replace(
            base,
            precision="float",
            reason=f"{islands[layer.name]} ({place})",
            alternatives=tuple(alternatives),
        )
    chosen = bits[layer.name]
    menu = (
        "the only width that pays on this target"
        if len(request.menu) == 1
        else "fewest bits within the noise budget"
    )
    return dataclasses.replace(
        base,
        weight_bits=chosen,
        reason=f"{chosen}-bit weights: {menu} ({place})",
        alternatives=tuple(alternatives),
    )


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
