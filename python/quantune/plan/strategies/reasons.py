"""Why a layer got what it got: one sentence, and the alternatives with their prices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from quantune.plan.schema import LayerPlan
from quantune.plan.strategies.offers import Offers
from quantune.sensitivity.metrics import decibels


def explained(
    base: LayerPlan, offers: Mapping[str, Offers], name: str, precision: str, island: str | None
) -> LayerPlan:
    """`base` with the choice, its reason and what else there was."""
    found = offers[name]
    rank = 1 + sum(other.local > found.local for other in offers.values())
    place = f"local SQNR {decibels(found.local):.1f} dB, {ordinal(rank)} noisiest of {len(offers)}"
    alternatives = tuple(alternative(found, each) for each in [*found.prices, "f32"])
    if precision == "f32":
        reason = island or f"float: {_time(found, 'f32')} with boundaries, integers {_time(found)}"
        return dataclasses.replace(
            base, precision="float", reason=f"{reason} ({place})", alternatives=alternatives
        )
    bits = int(precision[1])
    return dataclasses.replace(
        base,
        weight_bits=bits,
        reason=f"{bits}-bit weights: {_why(found, precision)} ({place})",
        alternatives=alternatives,
    )


def _why(found: Offers, precision: str) -> str:
    narrower = [name for name in found.offered if name.startswith("w") and name < precision]
    if precision != found.widest:
        gain = f"{_time(found, precision)} instead of {_time(found)}"
        if found.asked:
            gain += f", {_share(found, precision)} of the bytes"
        return f"{gain}, {_limit(narrower)}"
    if len(found.prices) == 1:
        return "the only width that pays on this target"
    if not narrower:
        return f"no other on the menu is faster or smaller here ({_time(found)})"
    best = min(narrower, key=lambda name: found.price(name).microseconds)
    return (
        f"{best[1]} bits would take {_time(found, best)} instead of {_time(found)}, but cost too much noise"
    )


def _limit(narrower: list[str]) -> str:
    return "fewer bits cost too much noise" if narrower else "fewest bits that pay here"


def _time(found: Offers, precision: str | None = None) -> str:
    price = found.price(precision or found.widest)
    return f"{price.microseconds:.0f} µs ({price.source})"


def _share(found: Offers, precision: str) -> str:
    return f"{int(precision[1]) / int(found.widest[1]):.0%}"


def alternative(found: Offers, precision: str) -> dict[str, Any]:
    """One precision that was considered, as it stands in plan.json."""
    price, is_float = found.price(precision), precision == "f32"
    return {
        "precision": precision,
        "sqnr_db": None if is_float else decibels(found.local + found.narrowed[precision]),
        "microseconds": round(price.microseconds, 2),
        "bytes": price.bytes,
        "price": f"{price.source}, boundaries included" if is_float else price.source,
        "pays": precision == found.widest or found.pays(precision),
    }


def ordinal(number: int) -> str:
    """1 → "1st"."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
