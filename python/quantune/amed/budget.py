"""What bit vectors cost, and the limits that none may pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quantune.amed.chain import State
from quantune.errors import QuantuneError
from quantune.graph.model import Graph
from quantune.plan.budget import Budget, Measure
from quantune.plan.cost import Prices
from quantune.plan.knapsack import Option, cheapest

NARROWEST = 4
"""Kernels store weights of fewer bits as they store these, and compute as fast with them."""


@dataclass(frozen=True)
class Costs:
    """Of one network on one target, every layer in integers.

    Attributes:
        layers: contractions, in the order of the graph. weights: of each, how many.
        prices: layer → bits → (microseconds, bytes), for 8 bits and the menu.
        others: microseconds of all layers without weights. fp32: what the network costs in f32.
    """

    layers: tuple[str, ...]
    weights: tuple[int, ...]
    prices: Mapping[str, Mapping[int, tuple[float, int]]]
    others: float
    fp32: Mapping[Measure, float]

    def own(self, layer: int, bits: int, measure: Measure) -> float:
        """Of one layer: microseconds, bytes, or bits of its weights together."""
        if measure == "bits":
            return float(bits * self.weights[layer])
        return float(self.prices[self.layers[layer]][bits][0 if measure == "latency" else 1])

    def of(self, state: State, measure: Measure) -> float:
        """Of the network."""
        rest = self.others if measure == "latency" else 0.0
        return rest + sum(self.own(i, bits, measure) for i, bits in enumerate(state))

    def milliseconds(self, state: State) -> float:
        return self.of(state, "latency") / 1e3

    def average_bits(self, state: State) -> float:
        return self.of(state, "bits") / sum(self.weights)


def priced(menu: Sequence[int]) -> tuple[int, ...]:
    """The widths whose prices `costs_of` looks at."""
    return tuple(sorted({8, *(max(bits, NARROWEST) for bits in menu)}, reverse=True))


def costs_of(graph: Graph, prices: Prices, menu: Sequence[int]) -> Costs:
    """prices: of the target, for the widths `priced(menu)` and f32."""
    contractions = graph.contractions
    table = {}
    for layer in contractions:
        found = {bits: prices.of(layer.name, f"w{max(bits, NARROWEST)}a8") for bits in {8, *menu}}
        table[layer.name] = {bits: (price.microseconds, price.bytes) for bits, price in found.items()}
    rest = [layer.name for layer in graph if not layer.is_contraction]
    weights = tuple(layer.weight_count for layer in contractions)
    float_time = sum(prices.of(layer.name, "f32").microseconds for layer in graph)
    float_size = sum(prices.of(layer.name, "f32").bytes for layer in contractions)
    return Costs(
        layers=tuple(layer.name for layer in contractions),
        weights=weights,
        prices=table,
        others=sum(prices.of(name, "a8").microseconds for name in rest),
        fp32={"latency": float_time, "size": float(float_size), "bits": 32.0 * sum(weights)},
    )


def within(costs: Costs, budgets: Iterable[Budget], state: State) -> bool:
    """Whether the state keeps all budgets."""
    return all(costs.of(state, budget.kind) <= budget.limit(costs.fp32) * (1 + 1e-9) for budget in budgets)


def first_state(
    costs: Costs, budget: Budget, menu: Sequence[int], noise: Mapping[str, Mapping[int, float]]
) -> State:
    """The allocation of least noise within the budget, from post-training metrics: where the chain starts.

    noise: layer → bits → what such weights add, in any unit that is the same for all layers.
    Raises QuantuneError saying how close the network comes when nothing keeps the budget.
    """
    widest_first = sorted(menu, reverse=True)
    own = [{bits: costs.own(i, bits, budget.kind) for bits in menu} for i in range(len(costs.layers))]
    rest = costs.others if budget.kind == "latency" else 0.0
    least, limit = rest + sum(min(found.values()) for found in own), budget.limit(costs.fp32)
    if least > limit:
        raise QuantuneError(
            f"--budget {budget.text} cannot be met: the narrowest weights of the menu leave "
            f"{least / costs.fp32[budget.kind]:.3g}x of fp32's {budget.kind}, {least / limit:.2f} times the "
            "limit; permit more, or give a --menu with fewer bits"
        )
    items = {
        name: [
            Option(str(bits), noise[name][bits], found[bits] - min(found.values())) for bits in widest_first
        ]
        for name, found in zip(costs.layers, own, strict=True)
    }
    chosen = cheapest(items, limit - least)
    return tuple(int(chosen[name].name) for name in costs.layers)
