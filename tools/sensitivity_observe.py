"""Everything that the study's metrics are made from, layer by layer, of one calibrated model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracle_setting import Setting
from quantune import numerics, zoo
from quantune.graph.model import Layer
from quantune.numerics import quantization_from_range
from quantune.replica import Replica
from quantune.replica.arithmetic import contraction
from quantune.replica.layers import dequantize, quantize
from quantune.sensitivity.metrics import Noise
from sensitivity_propagation import energy, linear
from sensitivity_transfer import transfers

LEVELS = ("torch", "linalg", "fused")
"""A convolution before its batch norm is folded in; with it; with residual and activation as well."""
Array = NDArray[np.float64]


@dataclass
class Seen:
    """One contraction. By bits where weights matter; noise and signal summed over images and elements.

    weight, local, storage: by level. moments: noise expected from the input's second moments, and with its
    means as well. accumulated: int8 network against float. delta: [images, classes] by bits, what the local
    error of the group's output becomes at the logits by `propagation.linear`. spread: [classes-summed energy]
    by bits, the same by `propagation.energy`. transfer: what a unit of the value's squared error becomes at
    the outputs, as measured in the network of "int8" and of "w4" weights.
    """

    weight: dict[tuple[str, int], Noise] = field(default_factory=dict)
    local: dict[tuple[str, int], Noise] = field(default_factory=dict)
    storage: dict[str, Noise] = field(default_factory=dict)
    moments: dict[tuple[str, int], float] = field(default_factory=dict)
    accumulated: Noise = field(default_factory=Noise)
    rounding: Noise = field(default_factory=Noise)
    delta: dict[int, Array] = field(default_factory=dict)
    spread: dict[int, float] = field(default_factory=dict)
    transfer: dict[str, float] = field(default_factory=dict)


@dataclass
class Observed:
    """layers: by name. logits: of the float network, [images, classes]; output: of int8 against it."""

    layers: dict[str, Seen]
    logits: Array
    output: Noise


def observe(setting: Setting, images: NDArray[np.float32], bits: Sequence[int]) -> Observed:
    """Runs the float and the int8 network once over the calibration images, and float twins beside."""
    graph = setting.graph
    exact, base = Replica(graph, None), Replica(graph, setting.base)
    reals = exact.run(images)
    values = base.run(images)
    passed = {la.name: share for la in graph if (share := _passed(la, reals[la.name])) is not None}
    classes = graph.shape(graph.outputs[0])[-1]
    rows = np.eye(classes, dtype=np.float32).reshape(classes, *graph.shape(graph.outputs[0])[1:])
    transposed = linear(graph, passed, {graph.outputs[0]: rows})
    energies = energy(graph, passed)
    logits = exact.logits(reals)
    output = Noise()
    output.add(logits.numpy(), base.logits(values).numpy())
    factors = _fold_factors(setting)
    layers = {}
    for layer in graph.contractions:
        seen = Seen()
        seen.accumulated.add(reals[layer.name].numpy(), base.real(layer.name, values).numpy())
        _weights(layer, factors[layer.name], setting, bits, seen)
        x = base.real(layer.inputs[0], values)
        _moments(layer, x, setting, bits, seen)
        residual = base.real(layer.inputs[-1], values) if layer.residual else None
        twin = _Twin(layer, x, residual, factors[layer.name])
        stored = base.real(layer.name, values)
        seen.rounding.add(twin.levels["fused"].numpy(), stored.numpy())
        _storage(setting, layer, twin, seen)
        for width, changed in _narrow(layer, setting, bits):
            errors = twin.errors(changed)
            for level in LEVELS:
                noise = seen.local.setdefault((level, width), Noise())
                noise.add(twin.levels[level].numpy(), (twin.levels[level] + errors[level]).numpy())
            flat = errors["fused"].reshape(len(images), -1).numpy()
            seen.delta[width] = flat @ transposed[layer.name].reshape(classes, -1).T.astype(np.float64)
            seen.spread[width] = float(np.mean(np.square(flat) @ energies[layer.name].reshape(-1)))
        layers[layer.name] = seen
    narrow = Replica(graph, setting.uniform(4))
    rounding = {key: seen.rounding.noise for key, seen in layers.items()}
    narrowing = {key: seen.local["fused", 4].noise for key, seen in layers.items()}
    names = [*graph.inputs, *(layer.name for layer in graph)]
    for name, replica, found, own in (
        ("int8", base, values, rounding),
        ("w4", narrow, narrow.run(images), narrowing),
    ):
        wrong = {value: _squared(reals[value], replica.real(value, found)) for value in names}
        for key, gain in transfers(graph, wrong, own, passed).items():
            layers[key].transfer[name] = gain
    return Observed(layers, logits.double().numpy(), output)


def _squared(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).square().sum())


class _Twin:
    """A contraction in float on the int8 network's values, at every level."""

    def __init__(self, layer: Layer, x: Tensor, residual: Tensor | None, factor: Array) -> None:
        self.layer, self.x, self.residual = layer, x, residual
        self.factor = torch.from_numpy(factor.astype(np.float32))
        assert layer.weight is not None
        self.bias = 0.0 if layer.bias is None else torch.from_numpy(np.array(layer.bias))
        self.levels = self._levels(layer.weight)

    def errors(self, weight: NDArray[np.float32]) -> dict[str, Tensor]:
        return {level: y - self.levels[level] for level, y in self._levels(weight).items()}

    def _levels(self, weight: NDArray[np.float32]) -> dict[str, Tensor]:
        with torch.inference_mode():
            bare = contraction(self.layer, weight, None)(self.x)
            y = bare + self.bias
            z = y if self.residual is None else y + self.residual.reshape(y.shape)
            return {"torch": bare / self.factor, "linalg": y, "fused": z.clamp(*self.layer.clamp)}


def _narrow(layer: Layer, setting: Setting, bits: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Bits, and the weights as the plan would quantize them, in f32."""
    for width in bits:
        choice = setting.narrowed(layer.name, width).layers[layer.name]
        q, scales = numerics.layer_weights(layer, choice)
        yield width, (q * scales).astype(np.float32)


def _weights(layer: Layer, factor: Array, setting: Setting, bits: Sequence[int], seen: Seen) -> None:
    assert layer.weight is not None
    for width, changed in _narrow(layer, setting, bits):
        for level, scale in (("torch", factor), ("linalg", np.ones_like(factor))):
            noise = seen.weight.setdefault((level, width), Noise())
            noise.add(layer.weight / scale, changed / scale)


def _moments(layer: Layer, x: Tensor, setting: Setting, bits: Sequence[int], seen: Seen) -> None:
    """E|dW x|^2 an output position, from each input channel's energy; and from its mean and variance."""
    assert layer.weight is not None
    flat = x.reshape(-1, x.shape[-1]).double().numpy()
    mean, square = flat.mean(0), np.square(flat).mean(0)
    for width, changed in _narrow(layer, setting, bits):
        error = (changed - layer.weight).astype(np.float64)
        if layer.kind == "depthwise_conv2d":
            parts = [(error[..., None, c : c + 1], slice(c, c + 1)) for c in range(len(mean))]
        else:
            step = error.shape[-2]
            pieces = np.split(error, len(mean) // step, axis=-1)
            parts = [(piece, slice(g * step, (g + 1) * step)) for g, piece in enumerate(pieces)]
        shift = plain = steady = 0.0
        for e, c in parts:
            shift += float(np.square((e * mean[c, None]).sum(axis=tuple(range(e.ndim - 1)))).sum())
            plain += float((np.square(e) * square[c, None]).sum())
            steady += float((np.square(e) * np.square(mean[c, None])).sum())
        seen.moments["energy", width] = plain
        seen.moments["mean and variance", width] = shift + plain - steady


def _storage(setting: Setting, layer: Layer, twin: _Twin, seen: Seen) -> None:
    """Storing each level's output in 8 bits."""
    for level in LEVELS:
        y = twin.levels[level]
        chosen = setting.base.layers[layer.name].output if level == "fused" else None
        found = chosen or quantization_from_range(float(y.min()), float(y.max()), 8)
        noise = seen.storage.setdefault(level, Noise())
        noise.add(y.numpy(), dequantize(quantize(y, found), found).numpy())


def _passed(layer: Layer, value: Tensor) -> Array | None:
    """By channel, the share of elements strictly inside the clamp's bounds; None without a clamp."""
    low, high = layer.clamp
    if np.isinf(low) and np.isinf(high):
        return None
    inside = ((value > low) & (value < high)).reshape(-1, value.shape[-1])
    return np.asarray(inside.double().mean(0).numpy())


def _fold_factors(setting: Setting) -> dict[str, Array]:
    """Layer → by output channel, what folding its batch norm multiplied the weights by."""
    module, _, _ = zoo.load(f"{setting.name}@32")
    state: dict[str, Any] = dict(module.state_dict())
    found = {}
    for layer in setting.graph.contractions:
        assert layer.weight is not None
        axes = tuple(range(layer.weight.ndim - 1))
        folded = np.sqrt(np.square(layer.weight.astype(np.float64)).sum(axis=axes))
        raw = state.get(f"{layer.name}.weight")
        if raw is None:
            found[layer.name] = np.ones_like(folded)
            continue
        plain = raw.double().reshape(raw.shape[0], -1).norm(dim=1).numpy()
        found[layer.name] = np.where((folded > 0) & (plain > 0), folded / np.maximum(plain, 1e-30), 1.0)
    return found
