"""How an error reaches the outputs, as measured: by what the errors of a quantized run became layer by layer.

A layer's value in the quantized network differs from the float network's by what its inputs' errors became
and by the layer's own error, which its float twin shows. So what is left, divided by the inputs' error, is
what the layer makes of a unit of it. Products of these along all ways to the outputs are the transfers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Graph

LEAST = 0.1
"""Of a value's error, at least this share is taken to come from its inputs."""


def transfers(
    graph: Graph,
    errors: Mapping[str, float],
    own: Mapping[str, float],
    passed: Mapping[str, NDArray[Any]],
) -> dict[str, float]:
    """Contraction → squared error at the outputs for a unit of squared error in its value.

    errors: value → squared error, quantized network against float. own: contraction → of its own making.
    passed: layer → by channel, the share of elements that its clamp lets through.
    """
    gains = dict.fromkeys(errors, 0.0) | dict.fromkeys(graph.outputs, 1.0)
    for layer in reversed(graph.layers):
        here, gathered = errors[layer.name], gains[layer.name]
        sources = list(layer.inputs)
        if layer.residual:
            share = float(np.mean(passed[layer.name])) if layer.name in passed else 1.0
            gains[sources.pop()] += share * gathered
            here -= share * errors[layer.inputs[-1]]
        if layer.is_contraction:
            here = max(here - own[layer.name], LEAST * errors[layer.name])
        received = sum(errors[source] for source in sources)
        for source in sources:
            gains[source] += gathered * here / received if received > 0 else 0.0
    return {layer.name: gains[layer.name] for layer in graph.contractions}
