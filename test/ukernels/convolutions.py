"""Convolutions with their numbers: as a call of a kernel, and as what the reference makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from machines import Call, KernelFault, Machine
from quantune.graph.model import Layer
from quantune.numerics.epilogue import Epilogue, contraction_epilogue
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.layouts import layout_of
from quantune.passes.ukernels.pack import pack_conv, pack_weights, schedules
from quantune.passes.ukernels.pack_depthwise import pack_depthwise
from quantune.passes.ukernels.panels import operand_segments
from quantune.plan.schema import Quantization
from quantune.reference.layers import accumulate
from surroundings import Surroundings

Array = NDArray[Any]
Pair = tuple[int, int]
INFINITY = float("inf")
Fill = Literal["random", "largest", "least", "zero", "matched"]
DENSE, NO_FRAME = Surroundings(), Frame()
FILLS: tuple[Fill, ...] = get_args(Fill)


@dataclass(frozen=True)
class Convolution:
    """One convolution, or with out (n, 1) and a 1x1 kernel a pointwise or fully connected layer of n rows.

    Attributes:
        out: height and width of the result; the input follows.
        filters: 0 makes it depthwise.
        fill: "largest" and "least" are the greatest and the least sums there are, "zero" has no activation
            but 0, "matched" the greatest activation where a weight of one filter is positive (for the next
            output pixel: negative) and 0 elsewhere.
        stored: whether the result is u8, else f32.
        residual_f32: whether the residual is f32, else u8.
        around_input, around_output, around_residual: of a larger tensor that has the operand inside.
        frame: pixels round the result that the kernel fills; at most `around_output`'s.
        magnitude: of results, in those that fit the output's range.
    """

    out: Pair = (5, 3)
    channels: int = 8
    filters: int = 20
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    weight_bits: int = 7
    input_bits: int = 8
    output_bits: int = 8
    fill: Fill = "random"
    residual: bool = False
    stored: bool = True
    clamp: tuple[float, float] = (-INFINITY, INFINITY)
    seed: int = 0
    groups: int = 1
    residual_f32: bool = False
    around_input: Surroundings = DENSE
    around_output: Surroundings = DENSE
    around_residual: Surroundings = DENSE
    frame: Frame = NO_FRAME
    magnitude: float = 1.0

    @property
    def reach(self) -> Pair:
        """Height and width of the padded input, which ends where the last window ends."""
        height, width = (
            (self.out[a] - 1) * self.strides[a] + (self.kernel[a] - 1) * self.dilations[a] + 1 for a in (0, 1)
        )
        return height, width

    @property
    def geometry(self) -> Geometry:
        filters = self.filters or self.channels
        return Geometry(
            *self.reach,
            self.channels,
            self.kernel,
            self.strides,
            self.dilations,
            *self.out,
            filters,
            self.groups,
        )

    @property
    def placement(self) -> Placement:
        image = (1, *self.out, self.filters or self.channels)
        return Placement(
            self.around_input.image((1, *self.reach, self.channels), 1),
            self.around_output.image(image, 1 if self.stored else 4),
            self.around_residual.image(image, 4 if self.residual_f32 else 1) if self.residual else None,
            self.frame,
        )

    @property
    def layer(self) -> Layer:
        return Layer(
            name="convolution",
            kind="conv2d" if self.filters else "depthwise_conv2d",
            inputs=("input",),
            output_shape=(1, *self.out, self.filters or self.channels),
            attributes={"strides": self.strides, "dilations": self.dilations, "padding": self.padding},
            clamp=self.clamp,
            residual=self.residual,
            bias=np.random.default_rng(self.seed)
            .normal(size=self.filters or self.channels)
            .astype(np.float32),
        )


def check(machine: Machine, cases: Sequence[Convolution]) -> None:
    """Every result equals the reference bit for bit, and no kernel leaves its operands."""
    family = "qconv" if any(case.filters for case in cases) else "qdepthwise"
    prepared = [prepare(case, machine) for case in cases]
    try:
        results = machine.run(family, [call for call, _ in prepared])
    except KernelFault as fault:
        where = "" if fault.index is None else f": {cases[fault.index]!r}"
        raise AssertionError(f"{fault}{where}") from None
    for case, result, (_, expected) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, expected.dtype).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=f"{machine}: {case!r}")


def prepare(case: Convolution, machine: Machine) -> tuple[Call, Array]:
    """(the kernel's call, the result that it must give)."""
    random = np.random.default_rng([case.seed, 1])
    source = Quantization(case.input_bits, 0.02, int(random.integers(0, 1 << case.input_bits)))
    weight = _weights(case, random)
    stored = _input(case, weight, source, random)
    accumulated = _accumulate(case, weight, stored, source)
    epilogue, other = _epilogue(case, weight, accumulated, source, random)
    expected = epilogue.apply(accumulated, other)
    blob, workgroups = _pack(case, weight, epilogue, machine, source)
    padded = np.pad(stored, [(0, 0), *case.padding, (0, 0)], constant_values=source.zero_point)
    assert padded.shape[1:3] == case.reach
    operands = [case.around_input.noise(padded, random)]
    if other is not None:
        operands.append(case.around_residual.noise(other, random))
    tensor, written = case.around_output.result(expected, case.frame)
    name = ("qconv" if case.filters else "qdepthwise") + ("" if other is None else "_residual")
    part = None if written.all() else written
    call = Call(name, (*(o.tobytes() for o in operands), blob), tensor.nbytes, workgroups, part)
    return call, tensor


def _accumulate(
    case: Convolution, weight: NDArray[np.int8], stored: NDArray[np.uint8], source: Quantization
) -> NDArray[np.int32]:
    """Group by group."""
    inputs = np.split(stored, case.groups, axis=-1) if case.filters else [stored]
    filters = np.split(weight, case.groups, axis=-1) if case.filters else [weight]
    sums = [accumulate(case.layer, w, x, source) for w, x in zip(filters, inputs, strict=True)]
    return np.concatenate(sums, axis=-1)


def _weights(case: Convolution, random: np.random.Generator) -> NDArray[np.int8]:
    """Filters of very different magnitude for random data, else all as large as can be."""
    depth = case.channels // case.groups
    shape = (*case.kernel, depth, case.filters) if case.filters else (*case.kernel, case.channels)
    limit = (1 << (case.weight_bits - 1)) - 1
    if case.fill == "random":
        spread = limit * 2.0 ** random.integers(-3, 3, shape[-1])
        return np.rint(random.normal(size=shape) * spread).clip(-limit, limit).astype(np.int8)
    if case.fill == "matched":
        return (limit * (2 * random.integers(0, 2, shape) - 1)).astype(np.int8)
    return np.full(shape, -limit if case.fill == "least" else limit, np.int8)


def _input(
    case: Convolution, weight: NDArray[np.int8], source: Quantization, random: np.random.Generator
) -> NDArray[np.uint8]:
    size = [reach - sum(pad) for reach, pad in zip(case.reach, case.padding, strict=True)]
    shape = (1, *size, case.channels)
    if case.fill == "random":
        return random.integers(0, source.maximum + 1, shape).astype(np.uint8)
    x = np.full(shape, source.maximum if case.fill in ("largest", "least") else 0, np.uint8)
    if case.fill == "matched":
        assert not np.any(case.padding) and case.dilations == (1, 1)
        # Where windows overlap the later pixel wins: the last one is matched in full.
        for pixel, (i, j) in enumerate(np.ndindex(*case.out)):
            signs = weight[..., pixel // 2 % case.filters] if case.filters else weight
            top, left = i * case.strides[0], j * case.strides[1]
            window = x[0, top : top + case.kernel[0], left : left + case.kernel[1]]
            window[:] = np.where((signs > 0) == (pixel % 2 == 0), source.maximum, 0)
    return x


def _epilogue(
    case: Convolution,
    weight: NDArray[np.int8],
    accumulated: NDArray[np.int32],
    source: Quantization,
    random: np.random.Generator,
) -> tuple[Epilogue, Array | None]:
    """(constants that spread the results over the output's range and a little beyond, residual input)."""
    scales = 10.0 ** random.uniform(-3, -2, weight.shape[-1])
    spread = float(np.abs(accumulated * (source.scale * scales)).max()) + 1.0
    output = None
    if case.stored:
        maximum = (1 << case.output_bits) - 1
        output = Quantization(case.output_bits, 1.8 * spread / maximum, int(random.integers(0, maximum + 1)))
    residual, other = None, None
    if case.residual and case.residual_f32:
        other = random.normal(size=accumulated.shape).astype(np.float32) * np.float32(spread)
    elif case.residual:
        residual = Quantization(8, spread / 700, int(random.integers(0, 256)))
        other = random.integers(0, 256, accumulated.shape).astype(np.uint8)
    return contraction_epilogue(case.layer, weight, case.magnitude * scales, source, residual, output), other


def _pack(
    case: Convolution, weight: NDArray[np.int8], epilogue: Epilogue, machine: Machine, source: Quantization
) -> tuple[bytes, Pair]:
    geometry = case.geometry
    if not case.filters:
        return pack_depthwise(
            geometry, weight, epilogue, machine.isa, source.maximum, case.placement, case.residual_f32
        )
    assert geometry.supported, case
    flushes = None
    layout = layout_of(machine.isa)
    if layout.lane:
        parts = operand_segments(geometry, weight, machine.isa)
        flushes = schedules(pack_weights(weight, geometry, parts), parts.steps, source.maximum, layout)
        assert flushes is not None or case.weight_bits + case.input_bits > 15, f"no schedule for {case!r}"
    return pack_conv(
        geometry, weight, epilogue, flushes, machine.isa, source.maximum, case.placement, case.residual_f32
    )
