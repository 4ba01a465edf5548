"""v2: QuantuneV2's choice. Two inferences, local metrics, O(n).

Every contraction's own noise-to-signal ratio comes from the comparison with its float twin. To first order a
layer's relative rounding noise reaches the outputs unchanged, up to one factor for the whole network that the
quantized run measures. What narrower weights add at the outputs was observed along that run, layer by layer
(`sensitivity.probes`). Independent errors add: predicted output noise = the sum of both over the layers.
(QuantuneV2, Kim et al. 2025, ranks layers by such local metrics instead of searching.)

- A layer becomes a float island where the share of the noise that this saves (all but the rounding of its
  output, which is stored in integers all the same) is at least FLOAT_GAIN times the price in time,
  boundaries included, and in bytes: there float buys accuracy cheaply.
- Layers without weights between islands are float too: there is nothing to quantize for.
- All others take the fastest combination of what is offered that keeps the predicted SQNR within the
  permitted drop (`plan.knapsack`). Offered is what is faster or smaller than 8 bits on the target; what
  is only smaller is chosen when the menu was asked for.

Prices are times and bytes of this very layer on this very target. Every decision looks at one layer, so the
whole is O(n); the knapsack has a fixed number of steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping

from quantune.graph.model import Graph, Layer
from quantune.plan.boundaries import boundaries, integer_values, is_integer
from quantune.plan.cost import Prices
from quantune.plan.knapsack import Option, cheapest
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.strategies import uniform
from quantune.plan.strategies.exact_reasons import QUIET, drowned, remark
from quantune.plan.strategies.offers import Offers, noise_factor, offers_of
from quantune.plan.strategies.reasons import explained
from quantune.plan.strategies.request import Request
from quantune.sensitivity.metrics import decibels

FLOAT_GAIN = 3.0  # 0.13 dB for a percent of time, as narrower weights give up where they pay well
BETWEEN = "float, as all around it: so there is no boundary between"
LEAST_SHARE = 0.05  # of the network's noise; below that no island is worth a sentence
BYTES_FOR_TIME = 0.25  # a network that grows by 4 % is as bad as one that slows by 1 %


def plan(request: Request) -> Plan:
    """Needs `request.sensitivity` and prices; a layer without metrics stays as in uniform int8."""
    assert request.sensitivity is not None
    base = uniform.plan(request)
    offers = {
        layer.name: found
        for layer in request.graph.contractions
        if (found := offers_of(request, layer)) is not None
    }
    islands = _islands(request, offers)
    hopeless = _hopeless(request, offers, islands)
    if hopeless:
        islands = dict.fromkeys(offers, "float: nothing of this network survives 8 bits")
    chosen = _chosen(request, offers, islands)
    layers = dict(base.layers)
    for name, option in chosen.items():
        layers[name] = explained(base.layers[name], offers, name, option.name, islands.get(name))
    for name in _between_islands(request.graph, layers):
        layers[name] = dataclasses.replace(layers[name], precision="float", reason=BETWEEN)
    decided = dataclasses.replace(base, strategy="v2", layers=layers)
    factor = _factor(request, offers)
    predicted = sum(offers[name].noise(option.name, factor) for name, option in chosen.items())
    report = {
        "predicted_sqnr_db": decibels(predicted),
        "uniform_int8_sqnr_db": decibels(request.sensitivity.output_nsr),
        "noise_factor": factor,
        "predicted_ms": predicted_ms(request, decided),
        "uniform_int8_ms": predicted_ms(request, base),
        "prices": _prices(request).sources,
        "boundaries": len(boundaries(request.graph, decided)),
        "menu": list(request.menu),
        "max_drop_sqnr_db": request.max_drop_sqnr_db,
        "remark": remark(offers, request.sensitivity.output_nsr, hopeless),
    }
    return dataclasses.replace(decided, report=report)


def predicted_ms(request: Request, found: Plan) -> float:
    """The sum of all prices, boundaries included; layers that only move values count as nothing."""
    graph, prices = request.graph, _prices(request)
    stored = integer_values(graph, found)
    total = 0.0
    for layer in graph:
        total += prices.of(layer.name, _precision(found, layer)).microseconds
    for value, _, kind in boundaries(graph, found):
        line = prices.quantize if kind == "quantize" else prices.dequantize
        if value in stored:  # else the epilogue leaves it in f32
            total += line(math.prod(graph.shape(value)))
    return total / 1e3


def _precision(found: Plan, layer: Layer) -> str:
    if not is_integer(layer, found):
        return "f32"
    return f"w{found.layers[layer.name].weight_bits}a8" if layer.is_contraction else "a8"


def _prices(request: Request) -> Prices:
    assert request.prices is not None
    return request.prices


def _factor(request: Request, offers: dict[str, Offers]) -> float:
    """How the layers' noise reaches the outputs, at uniform int8."""
    assert request.sensitivity is not None
    return noise_factor(request.sensitivity.output_nsr, offers.values())


def _totals(request: Request, offers: dict[str, Offers]) -> tuple[float, float]:
    """(microseconds, bytes) of the network in uniform int8."""
    others = sum(
        _prices(request).of(layer.name, "a8").microseconds
        for layer in request.graph
        if not layer.is_contraction
    )
    time = others + sum(found.base.microseconds for found in offers.values())
    return max(time, 1e-9), max(sum(found.base.bytes for found in offers.values()), 1)


def _islands(request: Request, offers: dict[str, Offers]) -> dict[str, str]:
    """Layers worth leaving in float → the reason."""
    total_noise = sum(found.local for found in offers.values())
    time, size = _totals(request, offers)
    reasons = {}
    for name, found in offers.items():
        share = max(0.0, found.local - found.storage) / total_noise if total_noise else 0.0
        price = (found.island.microseconds - found.base.microseconds) / time
        growth = (found.island.bytes - found.base.bytes) / size
        if share >= LEAST_SHARE and share >= FLOAT_GAIN * (price + BYTES_FOR_TIME * growth):
            more = f"{price:.1%} more" if price >= 0 else f"{-price:.1%} less"
            reasons[name] = (
                f"float: saves {share:.0%} of the noise for {more} time, boundaries included, "
                f"and {growth:.1%} more bytes"
            )
    return reasons


def _hopeless(request: Request, offers: dict[str, Offers], islands: Collection[str]) -> bool:
    """Whether 8 bits with these islands leave nothing of the outputs: then less noise is all that counts."""
    left = sum(found.storage if name in islands else found.local for name, found in offers.items())
    return bool(offers) and drowned(_factor(request, offers) * left)


def _between_islands(graph: Graph, layers: Mapping[str, LayerPlan]) -> set[str]:
    """Layers without weights whose way to the nearest weights leads to f32 on all sides.

    In integers they would only cost boundaries. A layer is looked at again when a neighbour of it drops out.
    """
    consumers = graph.consumers()
    neighbours = {
        layer.name: [*(v for v in layer.inputs if v in graph), *(la.name for la in consumers[layer.name])]
        for layer in graph
    }
    integer = {name for name, choice in layers.items() if choice.precision == "integer"}
    found = {name for name in integer if not graph.layer(name).is_contraction}
    open_ = list(found)
    while open_:
        name = open_.pop()
        if name in found and any(n in integer and n not in found for n in neighbours[name]):
            found.remove(name)
            open_ += [n for n in neighbours[name] if n in found]
    return found


def _chosen(request: Request, offers: dict[str, Offers], islands: dict[str, str]) -> dict[str, Option]:
    """Layer → what it takes, the islands as they are decided."""
    assert request.sensitivity is not None
    permitted = request.sensitivity.output_nsr * 10 ** (request.max_drop_sqnr_db / 10)
    budget = max(permitted, QUIET)
    factor, (time, size) = _factor(request, offers), _totals(request, offers)
    items = {}
    for name, found in offers.items():
        names = ["f32"] if name in islands else found.offered
        items[name] = [
            Option(
                precision,
                found.price(precision).microseconds / time + BYTES_FOR_TIME * found.growth(precision) / size,
                found.noise(precision, factor),
            )
            for precision in names
        ]
    return cheapest(items, budget * (1 + 1e-12))
