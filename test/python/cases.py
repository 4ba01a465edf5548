"""Single layers with their numbers, for tests of every kind that has an integer form."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantune.graph.model import Graph, Layer
from quantune.numerics import dequantize, quantization_from_range
from quantune.plan.schema import LayerPlan, Quantization

Array = NDArray[Any]
Pair = tuple[int, int]
Kind = Literal[
    "conv2d",
    "depthwise_conv2d",
    "linear",
    "avg_pool",
    "global_avg_pool",
    "add",
    "max_pool",
    "concat",
    "clamp",
]
Fill = Literal["random", "least", "largest", "matched"]
Residual = Literal["none", "integer", "float"]
WINDOWED = ("conv2d", "depthwise_conv2d", "avg_pool", "max_pool")
WITH_WEIGHTS = ("conv2d", "depthwise_conv2d", "linear")


@dataclass(frozen=True)
class Case:
    """One layer with its numbers.

    Attributes:
        fill: of the first input: "random" reaches beyond the range; "least" and "largest" are the ends of the
            stored range; "matched" is the largest value where a weight is positive, else the least, and the
            weights are all as large as they can be: the largest accumulators there are.
        spare: rows and columns at the end that no window reaches.
        residual: a second input added before the clamp, read as integers or as f32.
        stored: whether the result is stored in integers; else the layer delivers f32.
        ties: scales are powers of two and weights whole, so that many results lie halfway between two steps.
        groups: of a conv2d.
        alike: the inputs of a concatenation share the output's quantization.
    """

    kind: Kind
    out: Pair = (3, 4)
    channels: int = 5
    filters: int = 7
    kernel: Pair = (3, 2)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    spare: Pair = (0, 0)
    weight_bits: int = 8
    input_bits: int = 8
    output_bits: int = 8
    fill: Fill = "random"
    clamp: tuple[float, float] = (-np.inf, np.inf)
    residual: Residual = "none"
    bias: bool = True
    stored: bool = True
    ties: bool = False
    alike: bool = False
    groups: int = 1
    seed: int = 0

    @property
    def size(self) -> Pair:
        """Height and width of the input that make the output `out`."""
        if self.kind not in WINDOWED:
            return self.out
        reach = [
            (self.out[a] - 1) * self.strides[a] + (self.kernel[a] - 1) * self.dilations[a] + 1 + self.spare[a]
            for a in (0, 1)
        ]
        return reach[0] - sum(self.padding[0]), reach[1] - sum(self.padding[1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.channels) if self.kind == "linear" else (1, *self.size, self.channels)

    def random(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(self.kind.encode())])


def weights(case: Case) -> NDArray[np.float32]:
    """In the layout of the kind; channels of very different magnitude, one of them dead."""
    shape = {
        "conv2d": (*case.kernel, case.channels // case.groups, case.filters),
        "depthwise_conv2d": (*case.kernel, case.channels),
        "linear": (case.channels, case.filters),
    }[case.kind]
    random, limit = case.random(), (1 << (case.weight_bits - 1)) - 1
    if case.fill == "matched":
        return (2.0 * random.integers(0, 2, shape) - 1).astype(np.float32)
    if case.ties:
        whole = random.integers(-limit, limit + 1, shape).astype(np.float32)
        whole.reshape(-1, shape[-1])[0] = limit  # the channel's scale is 1 exactly
        return whole
    found = random.normal(size=shape) * 2.0 ** random.integers(-6, 4, shape[-1])
    found[..., 0] *= case.seed % 4 != 0
    return found.astype(np.float32)


def input_quantization(case: Case, position: int) -> Quantization:
    random = np.random.default_rng([case.seed, 0 if case.alike else position])
    maximum = (1 << case.input_bits) - 1
    zero = (0, maximum, int(random.integers(0, maximum + 1)))[random.integers(3)]
    scale = 1.0 if case.ties else float(f"{random.uniform(0.001, 0.3):.6e}")
    return Quantization(case.input_bits, scale, zero)


def input_array(
    case: Case, position: int, graph: Graph, name: str, layer: str, quantization: Quantization
) -> NDArray[np.float32]:
    random, shape = np.random.default_rng([case.seed, position, 1]), graph.inputs[name]
    if case.fill == "random" or (position == 1 and case.residual == "float"):
        steps = random.uniform(-0.1, 1.1, shape) * quantization.maximum
        steps = np.rint(steps) if case.ties else steps
        return ((steps - quantization.zero_point) * quantization.scale).astype(np.float32)
    q = np.full(shape, quantization.maximum if case.fill == "largest" else 0, np.uint8)
    if case.fill == "matched" and position == 0 and (weight := graph.layer(layer).weight) is not None:
        _match(q, weight, case, quantization.maximum)
    return dequantize(q, quantization)


def _match(q: NDArray[np.uint8], weight: NDArray[np.float32], case: Case, maximum: int) -> None:
    """The largest value under the positive weights of filter 0 (all filters, if depthwise), at one window."""
    signs = weight if case.kind == "depthwise_conv2d" else weight[..., 0]
    if case.kind == "linear":
        q[0, signs > 0] = maximum
        return
    for i in range(case.kernel[0]):
        for j in range(case.kernel[1]):
            row, column = (
                step * dilation - pad[0]
                for step, dilation, pad in zip((i, j), case.dilations, case.padding, strict=True)
            )
            if 0 <= row < q.shape[1] and 0 <= column < q.shape[2]:
                q[0, row, column, signs[i, j] > 0] = maximum


def choice(case: Case, layer: Layer, exact: NDArray[np.float32]) -> LayerPlan:
    """An output range somewhat smaller than needed, so that some values saturate."""
    found = quantization_from_range(0.8 * float(exact.min()), 0.8 * float(exact.max()), case.output_bits)
    if case.ties:
        found = Quantization(
            found.bits, float(2.0 ** np.clip(np.round(np.log2(found.scale)), 1, 20)), found.zero_point
        )
    return LayerPlan("integer", found, case.weight_bits if layer.is_contraction else None)


# Every kind and every branch of the epilogue once: strides, dilations, uneven padding, one channel and more
# than a vector's worth, clamps, residuals of both forms, results in f32, the largest accumulators, ties.
ALL_KINDS: tuple[Case, ...] = (
    Case("conv2d", padding=((1, 1), (0, 1)), clamp=(0.0, np.inf), seed=1),
    Case("conv2d", (4, 3), 33, 17, (1, 1), weight_bits=4, input_bits=7, residual="integer", seed=2),
    Case("conv2d", (2, 2), 3, 65, (3, 3), (2, 1), (1, 2), ((2, 0), (1, 1)), stored=False, seed=3),
    Case("conv2d", (3, 3), 16, 16, (3, 3), fill="matched", bias=False, seed=5),
    Case("conv2d", residual="float", clamp=(0.0, 6.0), weight_bits=6, seed=6),
    Case("conv2d", (5, 5), 1, 1, (2, 2), ties=True, weight_bits=3, input_bits=4, output_bits=6, seed=7),
    Case("conv2d", (4, 4), 12, 20, (3, 3), padding=((1, 1), (1, 1)), groups=4, clamp=(0.0, 6.0), seed=40),
    Case("conv2d", (3, 5), 32, 32, (3, 3), (2, 1), groups=2, residual="integer", seed=41),
    Case("conv2d", (3, 2), 64, 64, (1, 1), groups=32, weight_bits=6, input_bits=7, stored=False, seed=42),
    Case("conv2d", (3, 3), 4, 8, (3, 2), groups=4, residual="float", ties=True, seed=43),
    Case("depthwise_conv2d", (4, 4), 40, kernel=(3, 3), padding=((1, 1), (1, 1)), clamp=(0.0, 6.0), seed=9),
    Case("depthwise_conv2d", (3, 2), 1, kernel=(5, 3), strides=(2, 2), input_bits=6, stored=False, seed=10),
    Case("depthwise_conv2d", channels=9, fill="matched", residual="integer", seed=11),
    Case("linear", channels=300, filters=10, stored=False, seed=13),
    Case("linear", channels=64, filters=31, fill="matched", clamp=(0.0, np.inf), seed=14),
    Case("linear", channels=9, filters=4, ties=True, weight_bits=2, residual="float", stored=False, seed=15),
    Case("avg_pool", kernel=(2, 2), strides=(2, 2), padding=((1, 0), (0, 1)), ties=True, seed=17),
    Case("avg_pool", kernel=(3, 3), fill="largest", input_bits=7, stored=False, seed=18),
    Case("global_avg_pool", (7, 7), 37, seed=19),
    Case("global_avg_pool", (2, 2), 8, ties=True, output_bits=5, seed=21),
    Case("add", channels=19, clamp=(0.0, np.inf), seed=22),
    Case("add", ties=True, input_bits=7, seed=23),
    Case("add", fill="largest", stored=False, clamp=(-1.0, 1.0), seed=25),
    Case("max_pool", kernel=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)), seed=26),
    Case("max_pool", kernel=(2, 2), fill="least", input_bits=5, stored=False, seed=27),
    Case("concat", channels=3, filters=6, output_bits=7, seed=29),
    Case("concat", channels=8, filters=8, alike=True, seed=30),
    Case("concat", channels=2, filters=9, stored=False, seed=31),
    Case("concat", ties=True, seed=33),
    Case("clamp", clamp=(0.0, 6.0), seed=34),
    Case("clamp", clamp=(-1.0, np.inf), input_bits=6, stored=False, seed=35),
)
