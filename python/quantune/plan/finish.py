"""The settings' share in a plan that a strategy has made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Graph, Layer
from quantune.numerics import weight_scales
from quantune.plan.schema import LayerPlan, Plan
from quantune.plan.settings import Settings


def layer_scales(layer: Layer, bits: int, settings: Settings) -> NDArray[np.float64]:
    """The scale of each output channel. Raises QuantuneError for weights that are NaN."""
    assert layer.weight is not None
    return weight_scales(
        layer.weight,
        bits,
        name=layer.name,
        granularity=settings.granularity,
        power_of_two=settings.scheme == "power-of-two",
    )


def with_settings(plan: Plan, graph: Graph, settings: Settings) -> Plan:
    """The plan with the settings written down, and the weight scales they ask for where not the usual ones.

    A strategy chooses bits; whoever takes a plan from one calls this. Raises QuantuneError for NaN weights.
    """
    layers = {
        name: _scaled(graph.layer(name), choice, settings) if name in graph else choice
        for name, choice in plan.layers.items()
    }
    return replace(plan, layers=layers, settings=settings)


def _scaled(layer: Layer, choice: LayerPlan, settings: Settings) -> LayerPlan:
    usual = settings.granularity == "channel" and settings.scheme != "power-of-two"
    if usual or layer.weight is None or choice.weight_bits is None:
        return choice
    return replace(choice, weight_scales=tuple(layer_scales(layer, choice.weight_bits, settings).tolist()))
