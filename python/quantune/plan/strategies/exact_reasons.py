"""Why the exact program gave a layer what it got, and what there is to say about a network as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from quantune.plan.program import Choice, Program
from quantune.plan.schema import LayerPlan
from quantune.plan.solve import Solution
from quantune.plan.strategies.offers import Offers
from quantune.plan.strategies.reasons import alternative, ordinal
from quantune.sensitivity.metrics import decibels

HOPELESS_DB = 3.0
"""What has noise of half its signal carries nothing worth having."""
QUIET_DB = 60.0
"""At this SQNR anything is as good as float: 10 bits."""
QUIET = 10 ** (-QUIET_DB / 10)
"""The same as a noise-to-signal ratio: whatever a drop is relative to, that much is always permitted."""
HIDDEN = 1000.0
"""How many times the noise of all layers together the outputs' may be before it has another cause."""


def explained(
    base: LayerPlan, offers: Mapping[str, Offers], program: Program, found: Solution, name: str
) -> LayerPlan:
    """`base` with the choice, its reason and what else there was."""
    offer, precision = offers[name], found.assignment[name]
    choices = {choice.precision: choice for choice in program.choices[name]}
    rank = 1 + sum(other.local > offer.local for other in offers.values())
    place = f"local SQNR {decibels(offer.local):.1f} dB, {ordinal(rank)} noisiest of {len(offers)}"
    own = choices[precision]
    others = [_against(own, other, found) for other in choices.values() if other.precision != precision]
    reason = f"{words(precision)}: {_figures(own, found)}; {'; '.join(others) or 'nothing else on the menu'}"
    alternatives = tuple(alternative(offer, each) for each in [*offer.prices, "f32"])
    return dataclasses.replace(
        base,
        precision="float" if precision == "f32" else "integer",
        weight_bits=base.weight_bits if precision == "f32" else int(precision[1]),
        reason=f"{reason} ({place})",
        alternatives=alternatives,
    )


def words(precision: str) -> str:
    """ "w4a8" → "4-bit weights"."""
    return "float" if precision == "f32" else f"{precision[1]}-bit weights"


def _figures(choice: Choice, found: Solution) -> str:
    total = found.totals["noise"]
    share = f", {choice.costs['noise'] / total:.1%} of the plan's noise" if total > 0 else ""
    return f"{choice.costs['latency']:.0f} µs, {choice.costs['size'] / 1e3:.1f} kB{share}"


def _against(own: Choice, other: Choice, found: Solution) -> str:
    """What another precision would change; boundaries apart, which depend on the neighbours."""
    total = found.totals["noise"]
    time = other.costs["latency"] - own.costs["latency"]
    size = (other.costs["size"] - own.costs["size"]) / 1e3
    noise = f", {(other.costs['noise'] - own.costs['noise']) / total:+.0%} noise" if total > 0 else ""
    name = "float" if other.precision == "f32" else f"{other.precision[1]} bits"
    return f"{name}: {time:+.0f} µs, {size:+.1f} kB{noise}"


def drowned(nsr: float) -> bool:
    """Whether a noise-to-signal ratio leaves nothing worth having."""
    return decibels(nsr) < HOPELESS_DB


def remark(offers: Mapping[str, Offers], output_nsr: float, hopeless: bool) -> str | None:
    """A sentence about networks where there is nothing to weigh; None for all others.

    output_nsr: of uniform int8. hopeless: whether 8 bits were given up for it.
    """
    if not offers:
        return "no layer of this network has weights that could be quantized: there is nothing to choose"
    if hopeless:
        return (
            f"{_drowning(offers, output_nsr)}: look at the calibration data, the weights and the biases for "
            "outliers; until then fp32 is the only sensible plan"
        )
    worst = [
        min((decibels(o.local + more) for more in o.narrowed.values()), default=0.0) for o in offers.values()
    ]
    if min(worst) > QUIET_DB:
        return (
            f"no layer is sensitive (SQNR of at least {min(worst):.0f} dB in every precision on the menu): "
            "the plan is simply the cheapest"
        )
    return None


def _drowning(offers: Mapping[str, Offers], output_nsr: float) -> str:
    best = max(decibels(found.local) for found in offers.values())
    if best < HOPELESS_DB:
        return f"every layer drowns in its own noise even with 8 bits (SQNR {best:.1f} dB at best)"
    outputs = f"the outputs drown in 8 bits (SQNR {decibels(output_nsr):.1f} dB)"
    if HIDDEN * sum(found.local for found in offers.values()) < output_nsr:
        return f"{outputs} although every layer by itself looks quiet: a few huge numbers hide what is lost"
    return outputs
