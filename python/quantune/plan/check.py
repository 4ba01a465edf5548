"""Does a plan fit a model? Names that match nothing are errors, with the nearest names that exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from quantune.errors import PlanError
from quantune.graph.model import Graph
from quantune.plan.schema import Plan


def check_fits(plan: Plan, graph: Graph) -> None:
    """Raises PlanError if the plan was made for another model, lacks a layer or names an unknown one."""
    names = [layer.name for layer in graph]
    if unknown := [name for name in plan.layers if name not in graph]:
        raise PlanError(no_match(unknown[0], names))
    if missing := [name for name in names if name not in plan.layers]:
        raise PlanError(
            f"the plan says nothing about layer {missing[0]!r}; it was made for another model: "
            "make it anew with `quantune plan`"
        )
    if plan.fingerprint != graph.fingerprint:
        raise PlanError(
            f"the plan was made for model {plan.model!r} with other weights or structure (fingerprint "
            f"{plan.fingerprint}, this model has {graph.fingerprint}); make it anew with `quantune plan`"
        )
    for layer in graph.contractions:
        choice = plan.layers[layer.name]
        if choice.precision == "integer" and choice.weight_bits is None:
            raise PlanError(f"layer {layer.name!r} is integer but has no weight_bits; set 2..8")


def no_match(pattern: str, names: Iterable[str]) -> str:
    """The message for a layer name or glob that matches nothing."""
    names = list(names)
    near = difflib.get_close_matches(pattern.strip("*"), names, n=5, cutoff=0.3) or names[:5]
    return f"layer {pattern!r} in the plan matches nothing; near matches: {', '.join(near)}"
