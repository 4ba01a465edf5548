"""Dispatches of a quantized module against those of the float module that do the same work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantune.report.summary import FLOAT, section, variants

_PREFIX = re.compile(r"^.*?(?:dispatch|_encoding)_\d+_")
_TYPE = r"(?:bf|[fius])i?\d+"
_TYPES = re.compile(rf"_{_TYPE}(?:x{_TYPE})*$")


@dataclass(frozen=True)
class Cost:
    """Work that can be found in several modules: a layer, or an operation on one shape.

    `microseconds` of an inference and names of the dispatches, by variant.
    """

    key: str
    is_layer: bool
    microseconds: dict[str, float]
    dispatches: dict[str, tuple[str, ...]]

    def excess(self, variant: str) -> float:
        """Microseconds that `variant` spends here beyond the float module."""
        return self.microseconds.get(variant, 0.0) - self.microseconds.get(FLOAT, 0.0)


def operation(name: str) -> str:
    """What a dispatch computes on which shape, without its number and its element types.

    `main_dispatch_7_matmul_like_64x3136x576_i8xi8xi32` → `matmul_like_64x3136x576`: the part that a float and
    an integer module have in common.
    """
    return _TYPES.sub("", _PREFIX.sub("", name)) or name


def costs(metrics: dict[str, Any]) -> list[Cost]:
    """All work of all profiled variants; the costliest (in any variant) first."""
    times: dict[tuple[bool, str], dict[str, float]] = {}
    names: dict[tuple[bool, str], dict[str, tuple[str, ...]]] = {}
    for variant in variants(metrics, "dispatches"):
        for dispatch in section(metrics, "dispatches")[variant] or []:
            name, layer = str(dispatch["name"]), dispatch.get("layer")
            key = (True, str(layer)) if layer else (False, operation(name))
            sums = times.setdefault(key, {})
            sums[variant] = sums.get(variant, 0.0) + (dispatch.get("microseconds") or 0.0)
            shown = names.setdefault(key, {})
            shown[variant] = (*shown.get(variant, ()), name)
    found = [Cost(key, is_layer, times[is_layer, key], names[is_layer, key]) for is_layer, key in times]
    return sorted(found, key=lambda cost: -max(cost.microseconds.values()))


def culprits(found: Sequence[Cost], variant: str, limit: int = 5) -> list[Cost]:
    """Where `variant` loses most against the float module; where it spends most, if it loses nowhere."""
    spent = [cost for cost in found if cost.microseconds.get(variant, 0.0) > 0]
    lost = [cost for cost in spent if cost.excess(variant) > 0]
    if lost:
        return sorted(lost, key=lambda cost: -cost.excess(variant))[:limit]
    return sorted(spent, key=lambda cost: -cost.microseconds[variant])[:limit]
