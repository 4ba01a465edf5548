"""A whole plan on batches, with values that are already known taken as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantune.graph.model import Graph
from quantune.plan.boundaries import integer_values, is_integer
from quantune.plan.schema import Plan, Quantization
from quantune.replica.layers import Step, dequantize, float_step, integer_step, quantize

Values = Mapping[str, Tensor]
REAL = "/real"
"""Suffix of a value in f32 whose rounded form is what integer layers read."""


class Replica:
    """Executes `plan` (None: float) on batches.

    A value is a tensor [N, ...], NHWC for images: stored integers (u8) where `stored` has it, else f32.
    Raises UnsupportedError for an opaque layer, PlanError for a plan that lacks a quantization.
    """

    def __init__(self, graph: Graph, plan: Plan | None) -> None:
        self.graph = graph
        self.stored: dict[str, Quantization] = {} if plan is None else integer_values(graph, plan)
        self._integer = {la.name for la in graph if plan is not None and is_integer(la, plan)}
        self._steps: dict[str, Step] = {la.name: self._step(la.name, plan) for la in graph}

    def with_layer(self, name: str, plan: Plan) -> Replica:
        """The same network but for the weights of one layer, which are as `plan` has them."""
        other = object.__new__(Replica)
        other.graph, other.stored, other._integer = self.graph, self.stored, self._integer
        other._steps = {**self._steps, name: self._step(name, plan)}
        return other

    def run(self, images: NDArray[np.float32], known: Values | None = None) -> dict[str, Tensor]:
        """Every value of f32 [N, C, H, W] images; those in `known` are not computed again."""
        values = dict(known or {})
        with torch.inference_mode():
            for name in self.graph.inputs:
                if name not in values:
                    self._deliver(name, self._laid_out(name, images), values)
            for layer in self.graph:
                if layer.name in values:
                    continue
                if layer.name in self._integer:
                    values[layer.name] = self._steps[layer.name]([values[name] for name in layer.inputs])
                else:
                    inputs = [self.real(name, values) for name in layer.inputs]
                    self._deliver(layer.name, self._steps[layer.name](inputs), values)
        return values

    def real(self, name: str, values: Values) -> Tensor:
        """A value in f32: what a float layer reads."""
        if name not in self.stored:
            return values[name]
        exact = values.get(name + REAL)
        return dequantize(values[name], self.stored[name]) if exact is None else exact

    def logits(self, values: Values) -> Tensor:
        """The network's first output, f32 [N, classes]."""
        return self.real(self.graph.outputs[0], values)

    def after(self, name: str) -> set[str]:
        """The layer and all whose values depend on it."""
        found = {name}
        for layer in self.graph:
            if not found.isdisjoint(layer.inputs):
                found.add(layer.name)
        return found

    def _deliver(self, name: str, value: Tensor, values: dict[str, Tensor]) -> None:
        if name in self.stored:
            values[name + REAL], value = value, quantize(value, self.stored[name])
        values[name] = value

    def _laid_out(self, name: str, images: NDArray[np.float32]) -> Tensor:
        """Channels last, unless the module itself turns the input, as it does pictures of one channel."""
        x = torch.from_numpy(images)
        return x if tuple(x.shape[1:]) == tuple(self.graph.inputs[name][1:]) else x.permute(0, 2, 3, 1)

    def _step(self, name: str, plan: Plan | None) -> Step:
        layer = self.graph.layer(name)
        if plan is None or name not in self._integer:
            return float_step(layer)
        sources = [self.stored.get(source) for source in layer.inputs]
        return integer_step(layer, plan.layers[name], sources, self.stored.get(name))
