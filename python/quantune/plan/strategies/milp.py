"""milp: the exact choice. Every layer, every precision and every boundary in one integer program.

Where v2 decides layer by layer in O(n), with the two boundaries of a float island as its price, this solves
`plan.program` to optimality: neighbouring f32 layers share their boundaries, additions and pools may be f32
too, and a value that is not stored in integers loses nothing to rounding. Prices and noise are v2's; that of
rounding is scaled such that uniform int8 has the SQNR that was measured.

The least noise within all budgets; or, where the noise has a limit, the least time (or bytes). Where nothing
survives 8 bits, a limit relative to uniform int8 means nothing: then the least noise, which is f32's.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from quantune.graph.model import Graph, Layer
from quantune.plan.budget import Goal, Measure
from quantune.plan.program import Assignment, Choice, Edges, Program
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.solve import NOISE_MARGIN, Limits, Solution, best
from quantune.plan.strategies import fp32, uniform
from quantune.plan.strategies.exact_reasons import QUIET, drowned, explained, remark
from quantune.plan.strategies.misses import missed
from quantune.plan.strategies.offers import Offers, noise_factor, offers_of
from quantune.plan.strategies.request import Request
from quantune.plan.strategies.v2 import predicted_ms
from quantune.sensitivity.metrics import decibels

SLOWER = 1.1
"""A budget of bytes alone does not ask for f32 wherever that is a little quieter, at any price in time."""
DROP_DB = 1.0
"""Below uniform int8, where neither a budget nor a drop is given: v2's default too."""


@dataclass(frozen=True)
class Exact:
    """A request as an integer program.

    Attributes:
        offers: what is known about every contraction that was measured.
        uniform, fp32: totals of the two plans that others are compared with.
    """

    request: Request
    program: Program
    offers: Mapping[str, Offers]
    uniform: Mapping[Measure, float]
    fp32: Mapping[Measure, float]

    @property
    def hopeless(self) -> bool:
        """Whether nothing of uniform int8's outputs survives: a drop relative to that means nothing."""
        return bool(self.offers) and drowned(self.uniform["noise"])

    def limits(self, goal: Goal) -> Limits:
        """Of budgets and permitted noise, in the program's units."""
        assert self.request.sensitivity is not None
        found: dict[Measure, float] = {budget.kind: budget.limit(self.fp32) for budget in goal.budgets}
        if goal.max_drop_sqnr_db is not None:
            permitted = self.request.sensitivity.output_nsr * 10 ** (goal.max_drop_sqnr_db / 10)
            found["noise"] = max(permitted, QUIET)
        return found


def plan(request: Request) -> Plan:
    """Needs `request.sensitivity` and prices. Raises QuantuneError where no plan keeps all budgets."""
    goal = request.goal
    if not goal.budgets and goal.max_drop_sqnr_db is None:
        goal = dataclasses.replace(goal, max_drop_sqnr_db=DROP_DB)
    if goal.max_drop_sqnr_db is not None and goal.minimize == "noise":
        goal = dataclasses.replace(goal, minimize="latency")
    began = time.perf_counter()
    exact = exact_of(request)
    if exact.hopeless:
        goal = Goal(goal.budgets)
    found = _solved(exact, goal)
    if found is None:
        raise missed(exact.program, exact.limits(goal), goal, exact.fp32)
    decided = plan_of(exact, found)
    report = decided.report | {
        "budgets": [budget.text for budget in goal.budgets],
        "minimized": goal.minimize,
        "max_drop_sqnr_db": goal.max_drop_sqnr_db,
        "solver_seconds": round(time.perf_counter() - began, 3),
        "gap": found.gap,
    }
    return dataclasses.replace(decided, report=report)


def _solved(exact: Exact, goal: Goal) -> Solution | None:
    """Where time has no budget of its own, at most SLOWER than uniform int8, if that can be."""
    limits = exact.limits(goal)
    # Whoever counts bits compares noise.
    margin = 1.0 if "bits" in limits else NOISE_MARGIN
    if goal.budgets and goal.minimize == "noise" and "latency" not in limits and not exact.hopeless:
        capped: Limits = {**limits, "latency": SLOWER * exact.uniform["latency"]}
        if (found := best(exact.program, "noise", capped, margin)) is not None:
            return found
    return best(exact.program, goal.minimize, limits, margin)


def exact_of(request: Request) -> Exact:
    """Builds the program; solves nothing."""
    assert request.sensitivity is not None and request.prices is not None
    graph, prices = request.graph, request.prices
    contractions = {layer.name: offers_of(request, layer) for layer in graph.contractions}
    offers = {name: found for name, found in contractions.items() if found is not None}
    factor, measured = _factor(request, offers), request.sensitivity.output_nsr
    noise = {la.name: _stored_noise(request, la, offers, factor) for la in graph}
    choices = {la.name: _choices(request, la, offers.get(la.name), noise[la.name], factor) for la in graph}
    moved = _moved_noise(graph, noise)
    edges = {
        value: Edges(
            noise.get(value, 0.0),
            prices.quantize(math.prod(graph.shape(value))),
            prices.dequantize(math.prod(graph.shape(value))),
            moved.get(value, 0.0),
        )
        for value in [*graph.inputs, *noise]
    }
    program = Program(graph, choices, edges)
    return Exact(
        request,
        program,
        offers,
        _totals(request, uniform.plan(request), "w8a8", measured),
        _totals(request, fp32.plan(request), "f32", 0.0),
    )


def _factor(request: Request, offers: Mapping[str, Offers]) -> float:
    """Of rounding: v2's, without what it leaves to it of storing the results of layers without weights."""
    assert request.sensitivity is not None
    measured = request.sensitivity.output_nsr
    factor = noise_factor(measured, offers.values())
    others = (layer for layer in request.graph if layer.name not in offers)
    extra = sum(_stored_noise(request, layer, offers, factor) for layer in others)
    return factor * measured / (measured + extra) if measured > 0 else factor


def _totals(request: Request, decided: Plan, precision: str, noise: float) -> dict[Measure, float]:
    """What a plan adds up to that has all weights alike."""
    assert request.prices is not None
    layers, bits = request.graph.contractions, _bits(precision)
    return {
        "noise": noise,
        "latency": predicted_ms(request, decided) * 1e3,
        "size": float(sum(request.prices.of(layer.name, precision).bytes for layer in layers)),
        "bits": float(bits * sum(layer.weight_count for layer in layers)),
    }


def _bits(precision: str) -> int:
    return 32 if precision == "f32" else int(precision[1])


def _stored_noise(request: Request, layer: Layer, offers: Mapping[str, Offers], factor: float) -> float:
    """What storing a layer's output in integers adds; layers that only move values add none of their own."""
    assert request.sensitivity is not None
    if layer.name in offers:
        return offers[layer.name].noise("f32", factor)
    sqnr = request.sensitivity.layers[layer.name].activation_sqnr_db
    if layer.is_contraction or layer.is_transparent or sqnr is None:
        return 0.0
    return factor * 10 ** (-sqnr / 10)


def _moved_noise(graph: Graph, noise: Mapping[str, float]) -> dict[str, float]:
    """Of values that layers only move: what storing the value that they move would have added."""
    found: dict[str, float] = {}
    for layer in graph:
        if layer.is_transparent:
            found[layer.name] = max(found.get(v, noise.get(v, 0.0)) for v in layer.inputs)
    return found


def _choices(
    request: Request, layer: Layer, found: Offers | None, stored: float, factor: float
) -> list[Choice]:
    prices = request.prices
    assert prices is not None

    def choice(precision: str, noise: float = 0.0) -> Choice:
        price = prices.of(layer.name, precision)
        costs: dict[Measure, float] = {
            "noise": noise,
            "latency": price.microseconds,
            "size": float(price.bytes),
            "bits": float(layer.weight_count * _bits(precision)),
        }
        return Choice(precision, costs)

    if layer.kind == "opaque":
        return [choice("f32")]
    in_float = [] if any(budget.kind == "bits" for budget in request.goal.budgets) else [choice("f32")]
    if not layer.is_contraction:
        return [choice("a8"), *in_float]
    if found is None:
        return [choice("w8a8")]
    widths = [p for p in found.prices if p == found.widest or request.asked or found.pays(p)]
    return [*(choice(p, max(0.0, found.noise(p, factor) - stored)) for p in widths), *in_float]


def _why_float(graph: Graph, assignment: Assignment, name: str) -> str:
    """Of a layer without weights."""
    inputs = [value for value in graph.layer(name).inputs if value in graph]
    around = [*inputs, *(reader.name for reader in graph.consumers()[name])]
    if any(assignment[neighbour] == "f32" for neighbour in around) or name in graph.outputs:
        return "float, as what is next to it: so there is no boundary between"
    return "float: less noise than storing its result in integers would make"


def plan_of(exact: Exact, found: Solution) -> Plan:
    """The plan of a solution, with its figures and a reason for every layer."""
    request, totals = exact.request, found.totals
    assert request.prices is not None
    base = uniform.plan(request)
    layers: dict[str, LayerPlan] = {}
    for name, choice in base.layers.items():
        precision = found.assignment[name]
        if name in exact.offers:
            layers[name] = explained(choice, exact.offers, exact.program, found, name)
        elif precision == "f32" and choice.precision == "integer":
            reason = _why_float(request.graph, found.assignment, name)
            layers[name] = dataclasses.replace(choice, precision="float", reason=reason)
        else:
            layers[name] = choice
    weights = sum(layer.weight_count for layer in request.graph)
    report = {
        "predicted_sqnr_db": decibels(totals["noise"]),
        "uniform_int8_sqnr_db": decibels(exact.uniform["noise"]),
        "predicted_ms": totals["latency"] / 1e3,
        "uniform_int8_ms": exact.uniform["latency"] / 1e3,
        "fp32_ms": exact.fp32["latency"] / 1e3,
        "predicted_bytes": round(totals["size"]),
        "uniform_int8_bytes": round(exact.uniform["size"]),
        "fp32_bytes": round(exact.fp32["size"]),
        "average_bits": totals["bits"] / max(weights, 1),
        "prices": request.prices.sources,
        "menu": list(request.menu),
        "remark": remark(exact.offers, exact.uniform["noise"], exact.hopeless),
    }
    return dataclasses.replace(base, strategy="milp", layers=layers, report=report)
