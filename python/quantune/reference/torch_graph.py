"""The Graph as a torch module: what the reference computes, in f32, for batches, and differentiable.

For training and for studies that need many evaluations; what ships is judged by `reference.execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from quantune.errors import UnsupportedError
from quantune.graph.model import Graph, Layer

OnValue = Callable[[str, Tensor], Tensor]
OnKernel = Callable[[str, Tensor], Tensor]

_IMAGE_AXES = (0, 2, 3, 1)  # where each axis of NHWC lies in NCHW
_TO_KERNEL = {"conv2d": (3, 2, 0, 1), "depthwise_conv2d": (2, 0, 1), "linear": (1, 0)}
_FROM_KERNEL = {"conv2d": (2, 3, 1, 0), "depthwise_conv2d": (1, 2, 0), "linear": (1, 0)}


def _same(name: str, tensor: Tensor) -> Tensor:
    return tensor


class TorchGraph(nn.Module):
    """Layers of a Graph with their constants as parameters, by the names of the layers.

    Kernels lie in torch's layout: output channels first, [F, C, KH, KW], [C, 1, KH, KW] or [N, K]. Values
    with four axes are views of what the Graph has, last axis second (images are NCHW in channels-last
    memory); all others are laid out as the Graph says.

    Raises UnsupportedError naming a layer that has no meaning here (opaque, or it mixes the batch in).
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        if reasons := [reason for layer in graph if (reason := unsupported(layer))]:
            raise UnsupportedError(reasons[0])
        # parameters may not have dots in their names, and layers do
        self._keys = {layer.name: str(i) for i, layer in enumerate(graph.contractions)}
        self._kernels, self._biases = nn.ParameterDict(), nn.ParameterDict()
        for layer in graph.contractions:
            self._kernels[self._keys[layer.name]] = nn.Parameter(to_kernel(layer))
            if layer.bias is not None:
                self._biases[self._keys[layer.name]] = nn.Parameter(torch.tensor(layer.bias))
        self._last_reader = {value: layer.name for layer in graph for value in layer.inputs}

    def kernel(self, layer: str) -> nn.Parameter:
        found = self._kernels[self._keys[layer]]
        assert isinstance(found, nn.Parameter)
        return found

    def bias(self, layer: str) -> nn.Parameter | None:
        key = self._keys[layer]
        return self._biases.get(key, None)

    def forward(
        self, images: Tensor, on_value: OnValue | None = None, on_kernel: OnKernel | None = None
    ) -> list[Tensor]:
        """images: f32, laid out as the network's input, N of them. Returns its outputs, NCHW if of four axes.

        on_value: called with the name and tensor of every value, the input's included; what it returns is
        what the value's readers, and the caller, get. on_kernel: the same for the kernel of every
        contraction.
        """
        (name,) = self.graph.inputs
        keep = on_value or _same
        values = {name: keep(name, _as_image(images))}
        for layer in self.graph:
            inputs = [values[value] for value in layer.inputs]
            values[layer.name] = keep(layer.name, self.execute(layer, inputs, on_kernel or _same))
            for value in set(layer.inputs):
                if self._last_reader[value] == layer.name and value not in self.graph.outputs:
                    del values[value]
        return [values[name] for name in self.graph.outputs]

    def execute(self, layer: Layer, inputs: list[Tensor], on_kernel: OnKernel = _same) -> Tensor:
        """One layer alone; inputs as `forward` passes them on."""
        x = inputs[0]
        if layer.is_contraction:
            y = self._contraction(layer, x, on_kernel(layer.name, self.kernel(layer.name)))
            y = y + inputs[-1] if layer.residual else y
        elif layer.kind == "add":
            y = x + inputs[1]
        elif layer.kind == "avg_pool":
            x = _padded(x, layer, 0.0)
            kernel = layer.attributes.get("kernel") or x.shape[2:]
            mean = F.avg_pool2d(x, list(kernel), layer.attributes.get("strides", [1, 1]))
            y = mean * (kernel[0] * kernel[1] / layer.attributes.get("divisor", kernel[0] * kernel[1]))
            y = y if len(layer.output_shape) == 4 else _reshaped(y, layer)
        else:
            y = _moved(layer, inputs)
        return _clamped(y, *layer.clamp)

    def _contraction(self, layer: Layer, x: Tensor, kernel: Tensor) -> Tensor:
        bias = self.bias(layer.name)
        if layer.kind == "linear":
            return F.linear(x, kernel, bias)
        facts = layer.attributes
        groups = x.shape[1] // kernel.shape[1]
        (top, bottom), (left, right) = facts.get("padding", [[0, 0], [0, 0]])
        even = top == bottom and left == right
        x = x if even else _padded(x, layer, 0.0)
        padding = (top, left) if even else (0, 0)
        strides, dilations = facts.get("strides", [1, 1]), facts.get("dilations", [1, 1])
        return F.conv2d(x, kernel, bias, tuple(strides), padding, tuple(dilations), groups)


def to_kernel(layer: Layer) -> Tensor:
    """The weight of a contraction in torch's layout."""
    assert layer.weight is not None
    moved = torch.tensor(np.ascontiguousarray(layer.weight.transpose(_TO_KERNEL[layer.kind])))
    return moved[:, None] if layer.kind == "depthwise_conv2d" else moved


def from_kernel(layer: Layer, kernel: Tensor) -> NDArray[np.float32]:
    """A kernel in torch's layout as the Graph has it."""
    array = kernel.detach().cpu().numpy()
    array = array[:, 0] if layer.kind == "depthwise_conv2d" else array
    return np.ascontiguousarray(array.transpose(_FROM_KERNEL[layer.kind]))


def unsupported(layer: Layer) -> str | None:
    """Why a layer cannot be executed here, if so."""
    mixed = layer.output_shape[:1] != (1,) or (layer.kind == "concat" and layer.attributes["axis"] == 0)
    dilated = layer.kind == "avg_pool" and tuple(layer.attributes.get("dilations", (1, 1))) != (1, 1)
    if layer.kind == "opaque" or mixed or dilated:
        operation = layer.attributes.get("operation", layer.kind)
        return f"layer {layer.name} ({operation}) cannot be executed in batches"
    return None


def _clamped(y: Tensor, low: float, high: float) -> Tensor:
    """torch.clamp, by the functions whose gradients take the least time."""
    if np.isinf(low) and np.isinf(high):
        return y
    if np.isinf(high):
        return F.relu(y) if low == 0 else torch.clamp(y, low)
    return torch.clamp(y, None, high) if np.isinf(low) else F.hardtanh(y, low, high)


def _padded(x: Tensor, layer: Layer, fill: float) -> Tensor:
    (top, bottom), (left, right) = layer.attributes.get("padding", [[0, 0], [0, 0]])
    return F.pad(x, [left, right, top, bottom], value=fill) if top or bottom or left or right else x


def _moved(layer: Layer, inputs: list[Tensor]) -> Tensor:
    """The kinds that move or select values, without the clamp."""
    x, facts = inputs[0], layer.attributes
    axes = _IMAGE_AXES if x.dim() == 4 else tuple(range(x.dim()))
    match layer.kind:
        case "clamp":
            return x
        case "max_pool":
            x = _padded(x, layer, -torch.inf)
            kernel = facts.get("kernel") or x.shape[2:]
            return F.max_pool2d(
                x, list(kernel), facts.get("strides", [1, 1]), dilation=facts.get("dilations", [1, 1])
            )
        case "concat":
            return torch.cat(inputs, axes[facts["axis"]])
        case "pad":
            return F.pad(x, _pad_sides(facts["low"], facts["high"], axes), value=facts.get("value", 0.0))
        case "reshape":
            return _reshaped(x, layer)
        case "transpose":
            return _as_image(_as_stored(x).permute(facts["permutation"]))
        case "slice":
            return x[_slices(facts, axes)]
    raise AssertionError(layer.kind)


def _as_stored(x: Tensor) -> Tensor:
    """NCHW → NHWC; others as they are."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def _as_image(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def _reshaped(x: Tensor, layer: Layer) -> Tensor:
    return _as_image(_as_stored(x).reshape(x.shape[0], *layer.output_shape[1:]))


def _pad_sides(low: Sequence[int], high: Sequence[int], axes: Sequence[int]) -> list[int]:
    """torch wants (before, after) of the last axis first."""
    sides = {axes[i]: (low[i], high[i]) for i in range(len(axes))}
    return [side for axis in sorted(sides, reverse=True) for side in sides[axis]]


def _slices(facts: dict[str, Any], axes: Sequence[int]) -> tuple[slice, ...]:
    """The batch is taken whole, whatever its size."""
    found = [slice(None)] * len(axes)
    steps = facts.get("strides", [1] * len(axes))
    for i, (start, size, step) in enumerate(zip(facts["offsets"], facts["sizes"], steps, strict=True)):
        if i > 0:
            found[axes[i]] = slice(start, start + (size - 1) * step + 1, step)
    return tuple(found)
