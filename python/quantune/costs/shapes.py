"""What of a layer decides its time: operation, geometry, whether a residual is added."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantune.graph.model import Graph, Layer

Pair = tuple[int, int]
KINDS = ("conv2d", "depthwise_conv2d", "linear", "add", "max_pool", "avg_pool")
BOUNDARIES = ("quantize", "dequantize")
"""Kinds that are no layer: a pass that turns f32 into stored values, or back."""
COLD_NETWORK = 64_000_000
"""Weights; of a larger network no cache keeps any until the next picture."""
COLD_LAYER = 1_000_000
"""Weights; whether fewer are cached takes microseconds at most."""


@dataclass(frozen=True)
class Shape:
    """One kind of work; two layers of equal shape cost the same.

    Attributes:
        size: height and width of the input with its padding in place, as its producer writes it; (1, 1) for
            linear.
        channels, filters: of the input and of the output.
        residual: a second input is added before the clamp.
        cold: its weights come from memory.
    """

    kind: str
    size: Pair
    channels: int
    filters: int
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    residual: bool = False
    cold: bool = False

    @property
    def key(self) -> str:
        """As it stands in the cache: `conv2d 58x58x64 3x3 64`, then strides, dilations, a residual, cold."""
        words = [self.kind, f"{self.size[0]}x{self.size[1]}x{self.channels}"]
        words += [_pair(self.kernel), str(self.filters)]
        words += [f"stride{_pair(self.strides)}"] if self.strides != (1, 1) else []
        words += [f"dilation{_pair(self.dilations)}"] if self.dilations != (1, 1) else []
        words += ["residual"] if self.residual else []
        return " ".join([*words, *(["cold"] if self.cold else [])])

    @property
    def out(self) -> Pair:
        """Height and width of the output."""
        height, width = (
            (side - dilation * (taps - 1) - 1) // stride + 1
            for side, taps, stride, dilation in zip(
                self.size, self.kernel, self.strides, self.dilations, strict=True
            )
        )
        return height, width

    @property
    def elements(self) -> int:
        """Of the output."""
        return self.out[0] * self.out[1] * self.filters

    @property
    def input_elements(self) -> int:
        """Of all inputs, the padding included."""
        second = self.elements if self.residual or self.kind == "add" else 0
        return self.size[0] * self.size[1] * self.channels + second

    @property
    def macs(self) -> int:
        """Multiply-accumulates; additions, for a pool."""
        taps = self.kernel[0] * self.kernel[1]
        return self.elements * taps * (self.channels if self.kind in ("conv2d", "linear") else 1)

    @property
    def weights(self) -> int:
        """How many there are."""
        taps = self.kernel[0] * self.kernel[1]
        return {
            "conv2d": taps * self.channels * self.filters,
            "linear": self.channels * self.filters,
            "depthwise_conv2d": taps * self.channels,
        }.get(self.kind, 0)


def shape_of(graph: Graph, layer: Layer) -> Shape | None:
    """The shape of a layer, or None for kinds and forms that have none here (their price is modelled)."""
    if layer.kind not in KINDS:
        return None
    source = graph.shape(layer.inputs[0])
    if layer.kind == "linear":
        return Shape(
            "linear",
            (1, 1),
            source[-1],
            layer.output_shape[-1],
            residual=layer.residual,
            cold=_is_cold(graph, layer),
        )
    if len(source) != 4 or len(layer.output_shape) not in (2, 4):
        return None
    if layer.kind == "add":
        return Shape("add", (source[1], source[2]), source[3], source[3])
    facts = layer.attributes
    if layer.weight is None:
        kernel = facts["kernel"]
    else:
        kernel = layer.weight.shape[:2]
        if layer.kind == "conv2d" and layer.weight.shape[2] != source[3]:
            return None  # a grouped convolution
    # Without rows and columns that no window reaches: they are not read.
    (rows, columns), out = kernel, (*layer.output_shape[1:3], 1, 1)
    (down, right), (far, wide) = facts["strides"], facts["dilations"]
    if len(layer.output_shape) == 2:
        out = (1, 1, 1, 1)
    size = (
        (out[0] - 1) * down + (rows - 1) * far + 1,
        (out[1] - 1) * right + (columns - 1) * wide + 1,
    )
    return Shape(
        layer.kind,
        size,
        source[3],
        layer.output_shape[-1],
        (rows, columns),
        (down, right),
        (far, wide),
        layer.residual,
        _is_cold(graph, layer),
    )


def _is_cold(graph: Graph, layer: Layer) -> bool:
    return layer.weight_count > COLD_LAYER and sum(la.weight_count for la in graph) > COLD_NETWORK


def _pair(sides: Pair) -> str:
    return f"{sides[0]}x{sides[1]}"


def parse_key(key: str) -> Shape:
    """The shape that has this key; raises ValueError for any other text."""
    found = re.fullmatch(
        r"(\w+) (\d+)x(\d+)x(\d+) (\d+)x(\d+) (\d+)"
        r"(?: stride(\d+)x(\d+))?(?: dilation(\d+)x(\d+))?( residual)?( cold)?",
        key,
    )
    if found is None:
        raise ValueError(f"not the key of a shape: {key!r}")
    kind, residual, cold = found[1], found[12] is not None, found[13] is not None
    height, width, channels, rows, columns, filters, down, right, far, wide = (
        int(found[i] or 1) for i in range(2, 12)
    )
    return Shape(
        kind, (height, width), channels, filters, (rows, columns), (down, right), (far, wide), residual, cold
    )
