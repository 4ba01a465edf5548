"""f32 convolutions with their numbers: as a call of a kernel, and as f64 says that they must be."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machines import Call, KernelFault, Machine
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.pack_fconv import Finish, pack_fconv
from quantune.passes.ukernels.pack_fdepthwise import pack_fdepthwise
from surroundings import Surroundings

Array = NDArray[Any]
Pair = tuple[int, int]
INFINITY = float("inf")
NOTHING, NO_FRAME = Surroundings(), Frame()
ROUNDING = 2.0**-24  # relative error of one f32 operation


@dataclass(frozen=True)
class FloatConvolution:
    """One f32 convolution, or with out (n, 1) and a 1x1 kernel a fully connected layer of n rows.

    Attributes:
        out: height and width of the result; the input is what its windows reach.
        filters: of all groups; 0 makes it depthwise.
        frame: what the kernel puts round its result; inside `around_output`.
    """

    out: Pair = (5, 3)
    channels: int = 8
    filters: int = 20
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    residual: bool = False
    clamp: tuple[float, float] = (-INFINITY, INFINITY)
    around_input: Surroundings = NOTHING
    around_residual: Surroundings = NOTHING
    around_output: Surroundings = NOTHING
    frame: Frame = NO_FRAME
    seed: int = 0

    @property
    def reach(self) -> Pair:
        """Height and width of the input, which ends where the last window ends."""
        height, width = (
            (self.out[a] - 1) * self.strides[a] + (self.kernel[a] - 1) * self.dilations[a] + 1 for a in (0, 1)
        )
        return height, width

    @property
    def results(self) -> int:
        """Channels of the result."""
        return self.filters or self.channels

    @property
    def family(self) -> str:
        return "fconv" if self.filters else "fdepthwise"

    @property
    def geometry(self) -> Geometry:
        return Geometry(
            *self.reach,
            self.channels,
            self.kernel,
            self.strides,
            self.dilations,
            *self.out,
            self.results,
            self.groups,
        )

    @property
    def placement(self) -> Placement:
        shape = (1, *self.out, self.results)
        return Placement(
            self.around_input.image((1, *self.reach, self.channels), 4),
            self.around_output.image(shape, 4),
            self.around_residual.image(shape, 4) if self.residual else None,
            self.frame,
        )


def check(machine: Machine, cases: Sequence[FloatConvolution]) -> None:
    """Every result is as near to f64 as any order of summation is, and no kernel leaves its operands."""
    prepared = [prepare(case, machine) for case in cases]
    try:
        results = machine.run(cases[0].family, [call for call, _, _ in prepared])
    except KernelFault as fault:
        where = "" if fault.index is None else f": {cases[fault.index]!r}"
        raise AssertionError(f"{fault}{where}") from None
    for case, result, (_, expected, bound) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, np.float32).reshape(expected.shape)
        wrong = ~(np.abs(found - expected) <= bound)
        assert not wrong.any(), (machine, case, found[wrong][:5], expected[wrong][:5], bound[wrong][:5])


def prepare(case: FloatConvolution, machine: Machine) -> tuple[Call, Array, Array]:
    """(the kernel's call, the result in f64, how far from it each f32 may be).

    A sum of n products and m other terms, in any order, is off by at most n + m roundings of the sum of the
    magnitudes (N. Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1).
    """
    x, weight, finish = numbers(case)
    random = np.random.default_rng([case.seed, case.channels])
    other = random.normal(size=(*case.out, case.results)).astype(np.float32) if case.residual else None
    exact, magnitude = (_sum(case, part(x), part(weight)) for part in (_same, np.abs))
    for term in (finish.bias, other):
        if term is not None:
            exact, magnitude = exact + term, magnitude + np.abs(term)
    terms = int(np.prod(weight.shape[: -1 if case.filters else 2])) + 2
    blob, workgroups = _pack(case, weight, finish, machine)
    operands = [_among_nans(case.around_input, x)]
    if other is not None:
        operands.append(_among_nans(case.around_residual, other))
    expected, _ = case.around_output.result(np.clip(exact, *case.clamp)[None], case.frame)
    limits = (magnitude * terms * ROUNDING * 1.01).astype(np.float32)
    bound, written = case.around_output.result(limits[None], case.frame)
    name = case.family + ("" if other is None else "_residual")
    inputs_and_constants = (*(o.tobytes() for o in operands), blob)
    part = None if written.all() else written
    call = Call(name, inputs_and_constants, bound.nbytes, workgroups, part)
    return call, expected, bound


def numbers(case: FloatConvolution) -> tuple[Array, Array, Finish]:
    """(image [H, W, C], weights, what follows the sums)."""
    random = np.random.default_rng([case.seed, case.channels, case.filters])
    x = random.normal(size=(*case.reach, case.channels)).astype(np.float32)
    inputs = case.channels // case.groups
    shape = (*case.kernel, inputs, case.filters) if case.filters else (*case.kernel, case.channels)
    weight = (random.normal(size=shape) * 2.0 ** random.integers(-3, 3, shape[-1])).astype(np.float32)
    bias = random.normal(size=case.results).astype(np.float32) if case.bias else None
    return x, weight, Finish(bias, case.residual, case.clamp)


def _among_nans(around: Surroundings, image: Array) -> Array:
    """A kernel that reads past its part of a tensor computes NaN."""
    return around.put(image[None], np.full(around.dims((1, *image.shape)), np.nan, np.float32))


def _same(array: Array) -> Array:
    return array


def _sum(case: FloatConvolution, x: Array, weight: Array) -> Array:
    """[H, W, F] in f64."""
    total = np.zeros((*case.out, case.results))
    inputs = case.channels // case.groups
    for i, j in itertools.product(range(case.kernel[0]), range(case.kernel[1])):
        rows, columns = (
            slice(
                at * case.dilations[a],
                at * case.dilations[a] + (case.out[a] - 1) * case.strides[a] + 1,
                case.strides[a],
            )
            for a, at in enumerate((i, j))
        )
        view = x[rows, columns].astype(np.float64)
        if not case.filters:
            total += view * weight[i, j]
            continue
        per_group = case.filters // case.groups
        for group in range(case.groups):
            filters = slice(group * per_group, (group + 1) * per_group)
            total[..., filters] += view[..., group * inputs : (group + 1) * inputs] @ weight[i, j][:, filters]
    return total


def _pack(case: FloatConvolution, weight: Array, finish: Finish, machine: Machine) -> tuple[bytes, Pair]:
    pack_family = pack_fconv if case.filters else pack_fdepthwise
    return pack_family(machine.isa, case.geometry, weight, finish, case.placement)
