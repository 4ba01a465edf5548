"""Probes: what narrower weights of one layer do to the outputs, observed along the quantized run.

How much of a layer's error survives on the way to the outputs differs by 5 dB from layer to layer and cannot
be told from the layer itself. So every picture that the quantized network has run through is run once more
from some layer on, with that layer's weights narrowed; what changes at the outputs is that layer's doing.
Each picture carries EACH such probes and each layer and width has its turn, so the cost is that of EACH
half runs a picture, however many layers there are.

Few pictures for each layer make a loose estimate, which is held together by the weights' own noise
w(b), their noise-to-signal ratio beyond that of 8 bits:

    t(l)    = (K t + sum of r / w(b)) / (K + number)          over the layer's probes, K = LAYER, t the mean
    n(l, b) = w(b) (K t(l) + sum of r / w(b)) / (K + number)  over those of one width, K = WIDTH

with r the noise-to-signal ratio of the outputs in one probe. K counts pictures. The variance between pictures
over that between layers (widths) would be 0.4 (4.4), but whoever takes the least noise takes what is
underestimated; more is safer (docs/sensitivity.md). Fewer bits never count as less noise than more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantune.errors import UnsupportedError
from quantune.graph.model import Graph
from quantune.plan.finish import with_settings
from quantune.plan.schema import Plan
from quantune.replica import Replica
from quantune.replica.layers import quantize
from quantune.sensitivity.metrics import Noise

WIDTHS = (4, 3, 2)
"""Wider weights' errors drown in the rounding of activations; they follow from those of 4 bits."""
EACH = 4
LAYER, WIDTH = 3.0, 20.0
CONSTANTS = (WIDTHS, EACH, LAYER, WIDTH)
"""What kept results depend on."""
Case = tuple[str, int]
Ratios = Mapping[int, float]


class Probes:
    """Probes of `plan` (uniform int8) over `pictures` pictures, EACH a picture, in the order of the cases.

    A case keeps its variant for the consecutive pictures that it gets, so only EACH variants exist at a time.
    """

    def __init__(self, graph: Graph, plan: Plan, pictures: int) -> None:
        """Raises UnsupportedError for a network with an operation that only the compiled module executes."""
        self._graph, self._plan, self._pictures = graph, plan, pictures
        self._base = Replica(graph, plan)
        names = [la.name for la in graph.contractions if plan.layers[la.name].precision == "integer"]
        self._cases: list[Case] = [(name, bits) for bits in WIDTHS for name in names]
        self._kept: dict[int, tuple[Case, Replica]] = {}
        self.found: dict[Case, list[float]] = {}

    def add(self, index: int, image: NDArray[np.float32], values: Mapping[str, NDArray[Any]]) -> None:
        """values: f32, of every layer in the quantized network, for picture `index`."""
        if not self._cases:
            return
        stored = {name: self._stored(name, value) for name, value in values.items()}
        for lane in range(EACH):
            slot = lane * self._pictures + index
            case = self._cases[slot * len(self._cases) // (EACH * self._pictures)]
            stale = self._base.after(case[0])
            known = {name: value for name, value in stored.items() if name not in stale}
            changed = self._variant(lane, case).run(image, known)
            ratio = self._ratio(stored, changed)
            if math.isfinite(ratio):
                self.found.setdefault(case, []).append(ratio)

    def _variant(self, lane: int, case: Case) -> Replica:
        if lane not in self._kept or self._kept[lane][0] != case:
            name, bits = case
            choice = dataclasses.replace(self._plan.layers[name], weight_bits=bits, weight_scales=None)
            plan = dataclasses.replace(self._plan, layers={**self._plan.layers, name: choice})
            plan = with_settings(plan, self._graph, plan.settings)
            self._kept[lane] = case, self._base.with_layer(name, plan)
        return self._kept[lane][1]

    def _ratio(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
        """Energy of the change at the outputs over that of the outputs."""
        noise = Noise()
        for name in self._graph.outputs:
            noise.add(self._base.real(name, before).numpy(), self._base.real(name, after).numpy())
        return noise.nsr

    def _stored(self, name: str, value: NDArray[Any]) -> Tensor:
        shape = self._graph.shape(name)
        real = torch.from_numpy(np.ascontiguousarray(value, np.float32).reshape(1, *shape[1:]))
        return quantize(real, self._base.stored[name]) if name in self._base.stored else real


def probes_of(graph: Graph, plan: Plan, pictures: int) -> Probes | None:
    """None for a network that only the compiled module can execute."""
    try:
        return Probes(graph, plan, pictures)
    except UnsupportedError:
        return None


def narrowed(weights: Mapping[str, Ratios], found: Mapping[Case, list[float]]) -> dict[str, dict[int, float]]:
    """Layer → bits → what so narrow weights of it add to the outputs' noise-to-signal ratio.

    weights: layer → bits → noise-to-signal ratio of its weights, 8 bits among them. found: by the probes.
    Without any probe an error of weights is taken to reach the outputs whole, which is cautious.
    """
    own = {name: {b: max(0.0, nsr - row[8]) for b, nsr in row.items()} for name, row in weights.items()}
    passed = {
        case: [ratio / own[case[0]][case[1]] for ratio in ratios]
        for case, ratios in found.items()
        if own[case[0]][case[1]] > 0
    }
    by_layer: dict[str, list[float]] = {}
    for (name, _), ratios in passed.items():
        by_layer[name] = by_layer.get(name, []) + ratios
    usual = _geometric_mean([sum(ratios) / len(ratios) for ratios in by_layer.values()])
    result = {}
    for name, row in own.items():
        whole = _pulled(by_layer.get(name, []), usual, LAYER)
        result[name] = _rising(
            {b: nsr * _pulled(passed.get((name, b), []), whole, WIDTH) for b, nsr in row.items()}
        )
    return result


def _rising(row: Mapping[int, float]) -> dict[int, float]:
    """Widest first, each at least what the one before has."""
    found, most = {}, 0.0
    for bits in sorted(row, reverse=True):
        found[bits] = most = max(most, row[bits])
    return found


def _pulled(found: list[float], towards: float, pictures: float) -> float:
    """The mean of what was found and of so many pictures more that would have said `towards`."""
    return (pictures * towards + sum(found)) / (pictures + len(found))


def _geometric_mean(values: list[float]) -> float:
    """1 where nothing is known."""
    known = [math.log(value) for value in values if value > 0]
    return math.exp(sum(known) / len(known)) if known else 1.0
