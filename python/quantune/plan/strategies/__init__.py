"""Strategies: from what is known about a network to a plan. One file a strategy; none touches IR."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

from quantune.errors import QuantuneError
from quantune.plan.schema import Plan
from quantune.plan.strategies import fp32, milp, uniform, v2
from quantune.plan.strategies.request import Request

Strategy = Callable[[Request], Plan]

STRATEGIES: dict[str, Strategy] = {
    "v2": v2.plan,
    "milp": milp.plan,
    **{name: functools.partial(uniform.plan, strategy=name) for name in uniform.WEIGHT_BITS},
    "fp32": fp32.plan,
}
INFORMED = ("v2", "milp")
"""Strategies that look at sensitivity and prices."""


def find(name: str) -> Strategy:
    """Raises QuantuneError listing near matches for an unknown name."""
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=3, cutoff=0.3) or list(STRATEGIES)
        raise QuantuneError(f"unknown strategy {name!r}; did you mean {' or '.join(near)}?")
    return STRATEGIES[name]


__all__ = ["INFORMED", "STRATEGIES", "Request", "Strategy", "find"]
