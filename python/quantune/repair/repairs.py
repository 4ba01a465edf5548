"""New constants for some layers, and a Graph that has them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.errors import QuantuneError
from quantune.files import read_json, replacing, write_json
from quantune.graph.model import Graph, Layer
from quantune.numerics import layer_weights
from quantune.plan.schema import Plan

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Constants:
    """What replaces a contraction's weight, in the layout of its kind, and its bias; None leaves it."""

    weight: Float | None = None
    bias: Float | None = None


@dataclass(frozen=True)
class Repairs:
    """What methods have changed.

    Attributes:
        layers: layer name → its new constants.
        report: method → what it did, JSON-able: how many layers, the largest change, seconds.
    """

    layers: dict[str, Constants] = field(default_factory=dict)
    report: dict[str, dict[str, Any]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """The report as JSON for people, and a .npz with the constants beside it."""
        arrays = {
            f"{kind}:{name}": array
            for name, constants in self.layers.items()
            for kind, array in (("weight", constants.weight), ("bias", constants.bias))
            if array is not None
        }
        with replacing(path.with_suffix(".npz")) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        write_json(path, self.report)

    @staticmethod
    def load(path: Path) -> Repairs:
        """Raises QuantuneError naming the file when it or its .npz is damaged."""
        try:
            report = read_json(path)
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
                found: dict[str, dict[str, Float]] = {}
                for key in archive.files:
                    kind, _, name = key.partition(":")
                    found.setdefault(name, {})[kind] = archive[key]
            return Repairs({name: Constants(**arrays) for name, arrays in found.items()}, report)
        except (OSError, ValueError, TypeError) as error:
            raise QuantuneError(f"{path} or its .npz is damaged ({error}); delete both and rerun") from error


def repaired(graph: Graph, repairs: Repairs) -> Graph:
    """The graph with the new constants; its fingerprint is that of a module with the same ones."""
    return replace(graph, layers=tuple(_repaired(layer, repairs.layers.get(layer.name)) for layer in graph))


def pinned(plan: Plan, graph: Graph, repairs: Repairs) -> Plan:
    """`plan`, made for `graph`, for the repaired graph: weights that changed keep the scales they had."""
    layers = dict(plan.layers)
    for name, constants in repairs.layers.items():
        if constants.weight is not None:
            scales = layer_weights(graph.layer(name), layers[name])[1]
            layers[name] = replace(layers[name], weight_scales=tuple(scales.tolist()))
    return replace(plan, fingerprint=repaired(graph, repairs).fingerprint, layers=layers)


def largest_change(before: Graph, after: Graph) -> float:
    """Over all constants, the largest |after - before|."""
    changes = [0.0]
    for old, new in zip(before, after, strict=True):
        for kind in ("weight", "bias"):
            x, y = getattr(old, kind), getattr(new, kind)
            if y is not None and y is not x:
                changes.append(float(np.abs(y - (0.0 if x is None else x)).max(initial=0.0)))
    return max(changes)


def _repaired(layer: Layer, constants: Constants | None) -> Layer:
    if constants is None:
        return layer
    weight, bias = constants.weight, constants.bias
    return replace(
        layer,
        weight=layer.weight if weight is None else weight,
        bias=layer.bias if bias is None else bias,
    )
