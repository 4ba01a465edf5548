"""The network under training: the Graph's twin with weights and values on the grids of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from quantune.amed.chain import State
from quantune.amed.lsq import quantize_kernel, quantize_value, untrained_steps
from quantune.errors import QuantuneError
from quantune.graph.model import Graph
from quantune.numerics import snap_scale
from quantune.plan.boundaries import integer_values, is_integer
from quantune.plan.schema import Plan, Quantization
from quantune.reference.torch_graph import TorchGraph, to_kernel


class QuantizedNetwork(nn.Module):
    """A TorchGraph that computes as the integer network of `plan` will, and learns weights, biases and steps.

    A kernel is kept as a fraction of the largest weight of its output channel, and a step by its logarithm,
    so that one learning rate suits all layers. Every width on the menu has steps of its own: a layer that
    comes back to a width finds them as it left them. Values that share a quantization in the plan share one
    step; zero points stay as calibrated.

    menu: weight bits, narrowest first. Raises QuantuneError where the plan leaves a layer in float.
    """

    def __init__(self, graph: Graph, plan: Plan, menu: Sequence[int]) -> None:
        super().__init__()
        if islands := [layer.name for layer in graph if not is_integer(layer, plan)]:
            raise QuantuneError(
                f"layer {islands[0]} is float in the plan; training needs a network that is all integer"
            )
        self.graph, self.menu = graph, tuple(menu)
        self.layers = [layer.name for layer in graph.contractions]
        self.bits = dict.fromkeys(self.layers, self.menu[-1])
        self.trained: set[str] = set()
        self.twin = TorchGraph(graph)
        self.kernels, self.steps, self.value_steps = (
            nn.ParameterDict(),
            nn.ParameterDict(),
            nn.ParameterDict(),
        )
        for i, layer in enumerate(graph.contractions):
            kernel = to_kernel(layer)
            flat = kernel.reshape(kernel.shape[0], -1)
            largest = flat.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny)
            shaped = largest.reshape(-1, *[1] * (kernel.dim() - 1))
            self.register_buffer(f"largest{i}", shaped)
            self.kernels[str(i)] = nn.Parameter(kernel / shaped)
            for bits in self.menu:
                self.steps[f"{i}w{bits}"] = nn.Parameter(untrained_steps(kernel / shaped, bits).log())
            self.twin.kernel(layer.name).requires_grad_(False)
        self._index = {name: i for i, name in enumerate(self.layers)}
        self._stored, self._shared = integer_values(graph, plan), shared_values(graph, plan)
        self._rounded = {name for name in self._stored if self._rounds(name)}
        for name in sorted(set(self._shared.values())):
            log = torch.tensor(self._stored[name].scale, dtype=torch.float32).log()
            self.value_steps[self._key(name)] = nn.Parameter(log)

    def take(self, state: State) -> None:
        """Sets the bits of every layer."""
        self.bits = dict(zip(self.layers, state, strict=True))

    @torch.no_grad()
    def refresh(self, state: State) -> None:
        """Steps that were never trained follow the weights: they are found anew, as before training."""
        for i, bits in enumerate(state):
            if (key := f"{i}w{bits}") not in self.trained:
                self.steps[key].copy_(untrained_steps(self.kernels[str(i)], bits).log())

    def settle(self, state: State) -> None:
        """To be called before training in a state: from now on its steps are learned."""
        self.take(state)
        self.trained |= {f"{i}w{bits}" for i, bits in enumerate(state)}

    def forward(self, images: Tensor) -> Tensor:
        """f32, laid out as the network's input → its first output, [N, classes]."""
        logits: Tensor = self.twin(images, self._on_value, self._on_kernel)[0]
        return logits

    def kernel(self, layer: str) -> Tensor:
        """The weights without quantization, in torch's layout."""
        i = self._index[layer]
        return self.kernels[str(i)] * self._largest(i)

    @torch.no_grad()
    def weight_scales(self, layer: str) -> Tensor:
        """f64 [F] of the bits that the layer has now, as a plan would give them."""
        i = self._index[layer]
        steps = self.steps[f"{i}w{self.bits[layer]}"].double().exp()
        exact = steps * self._largest(i).double().flatten()
        return torch.from_numpy(snap_scale(exact.cpu().numpy()))

    @torch.no_grad()
    def quantizations(self) -> dict[str, Quantization]:
        """Every stored value with the step that it has learned."""
        return {
            name: replace(
                found, scale=snap_scale(float(self.value_steps[self._key(self._shared[name])].double().exp()))
            )
            for name, found in self._stored.items()
        }

    def _rounds(self, value: str) -> bool:
        """Whether storing changes the value: layers that only move stored values leave them on their grid."""
        layer = self.graph.layer(value) if value in self.graph else None
        if layer is None or not layer.is_transparent:
            return True
        return any(self._shared[name] != self._shared[value] for name in layer.inputs)

    def _on_value(self, name: str, value: Tensor) -> Tensor:
        if name not in self._rounded:
            return value
        found = self._stored[name]
        step = self.value_steps[self._key(self._shared[name])].exp()
        return quantize_value(value, step, found.zero_point, found.bits)

    def _on_kernel(self, name: str, kernel: Tensor) -> Tensor:
        i, bits = self._index[name], self.bits[name]
        quantized = quantize_kernel(self.kernels[str(i)], self.steps[f"{i}w{bits}"].exp(), bits)
        return quantized * self._largest(i)

    def _largest(self, index: int) -> Tensor:
        return self.get_buffer(f"largest{index}")

    def _key(self, value: str) -> str:
        return "v" + value.replace(".", "/")


def shared_values(graph: Graph, plan: Plan) -> dict[str, str]:
    """Stored value → the value whose step it shares: of those with one quantization, the first produced.

    Layers that only move values share with their input, and a concatenation with those of its inputs that
    the plan gives its own quantization.
    """
    stored: Mapping[str, Quantization] = integer_values(graph, plan)
    owner = {name: name for name in stored}

    def root(value: str) -> str:
        while owner[value] != value:
            value = owner[value]
        return value

    order = {name: i for i, name in enumerate(stored)}
    for layer in graph:
        if layer.name in stored and layer.is_transparent:
            for value in layer.inputs:
                if stored[value] == stored[layer.name]:
                    first, last = sorted((root(value), root(layer.name)), key=order.__getitem__)
                    owner[last] = first
    return {name: root(name) for name in stored}
