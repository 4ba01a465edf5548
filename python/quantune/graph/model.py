"""Plain dataclasses for a network of fused layers; no IR, no torch.

A value (activation) carries the name of the layer that produces it; the network's inputs are values too.
All 4-D activations are NHWC with batch 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LayerKind = Literal[
    "conv2d",  # weight [KH, KW, C, F] (HWCF); attributes: groups, if more than 1: C is then that of one
    "depthwise_conv2d",  # weight [KH, KW, C] (HWC)
    "linear",  # weight [K, N]
    "add",  # two inputs of equal shape
    "max_pool",
    "avg_pool",  # windowed or global mean; attributes: kernel, strides, divisor
    "clamp",  # a ReLU or ReLU6 that no contraction could take in
    "concat",  # attributes: axis
    "pad",  # attributes: low, high (a list per axis), value
    "reshape",  # row-major; output_shape says all
    "transpose",  # attributes: permutation
    "slice",  # attributes: offsets, sizes, strides (a list per axis)
    "opaque",  # anything else: stays float; attributes: operation
]

CONTRACTIONS: frozenset[str] = frozenset({"conv2d", "depthwise_conv2d", "linear"})
"""Kinds that carry weights and a multiply-accumulate loop."""

TRANSPARENT: frozenset[str] = frozenset(
    {"max_pool", "clamp", "concat", "pad", "reshape", "transpose", "slice"}
)
"""Kinds that move or select values: input and output share one scale and zero point."""


@dataclass(frozen=True)
class Layer:
    """One fused group: an anchor operation with bias, residual add and clamp folded into it.

    Order of evaluation: contraction, + bias, + residual, clamp.

    Attributes:
        name: unique; the torch module's path for contractions (`layer1.0.conv1`).
        kind: see LayerKind.
        inputs: value names; for a fused residual the last one is the residual input.
        output_shape: NHWC for 4-D.
        attributes: plain JSON-able facts: `strides` [h, w], `dilations` [h, w], `padding`
            [[top, bottom], [left, right]] (zeros, or -inf for max_pool), `kernel` [h, w], `divisor`,
            `axis`, `groups`, …
        clamp: (low, high) bounds of the fused activation; infinities mean none. ReLU is (0, inf),
            ReLU6 (0, 6).
        residual: True when inputs[-1] is added before the clamp.
        weight: f32 constant in the layout of its kind, or None.
        bias: f32 [output channels], or None.
        macs: multiply-accumulates for one inference.
        location: where the layer came from, for messages.
    """

    name: str
    kind: LayerKind
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    clamp: tuple[float, float] = (-np.inf, np.inf)
    residual: bool = False
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    macs: int = 0
    location: str = ""

    @property
    def is_contraction(self) -> bool:
        return self.kind in CONTRACTIONS

    @property
    def is_transparent(self) -> bool:
        return self.kind in TRANSPARENT

    @property
    def weight_count(self) -> int:
        return 0 if self.weight is None else self.weight.size

    @property
    def data_inputs(self) -> tuple[str, ...]:
        """The inputs of the anchor operation, without the fused residual."""
        return self.inputs[:-1] if self.residual else self.inputs


@dataclass(frozen=True)
class Graph:
    """Layers in execution order.

    Attributes:
        inputs: value name → shape (NHWC for images; the module itself takes the model's own layout).
        layers: in an order in which every input is produced before its use.
        outputs: value names the network returns (always delivered as f32 in the model's own layout).
    """

    inputs: dict[str, tuple[int, ...]]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def layer(self, name: str) -> Layer:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def _by_name(self) -> dict[str, Layer]:
        cached = self.__dict__.get("_index")
        if cached is None:
            cached = {layer.name: layer for layer in self.layers}
            object.__setattr__(self, "_index", cached)
        return cached

    def consumers(self) -> dict[str, list[Layer]]:
        """Value name → layers that read it."""
        users: dict[str, list[Layer]] = {
            name: [] for name in [*self.inputs, *(la.name for la in self.layers)]
        }
        for layer in self.layers:
            for value in layer.inputs:
                users[value].append(layer)
        return users

    def shape(self, value: str) -> tuple[int, ...]:
        return self.inputs[value] if value in self.inputs else self.layer(value).output_shape

    @property
    def contractions(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.is_contraction]

    @property
    def fingerprint(self) -> str:
        """A hash of structure and weights: two models with equal fingerprints take the same plans."""
        digest = hashlib.sha256(repr((self.inputs, self.outputs)).encode())
        for layer in self.layers:
            facts = (layer.name, layer.kind, layer.inputs, layer.output_shape, layer.attributes, layer.clamp)
            digest.update(repr(facts).encode())
            for array in (layer.weight, layer.bias):
                if array is not None:
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]
