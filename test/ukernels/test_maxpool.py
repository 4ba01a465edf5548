"""Maximum pooling between guard pages against numpy, u8 and f32 (with NaN): every tail, window and frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machines import Call, Machine, each_of
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.pack_pool import pack_max_pool
from surroundings import Surroundings

each_machine = each_of("qmaxpool")
each_float_machine = each_of("fmaxpool")
Pair = tuple[int, int]
Array = NDArray[Any]


@dataclass(frozen=True)
class Pool:
    """One maximum pool of an input that ends where its last window ends. border: of the frame round it."""

    out: Pair
    channels: int
    kernel: Pair = (3, 3)
    strides: Pair = (2, 2)
    dilations: Pair = (1, 1)
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    around: Surroundings = field(default_factory=Surroundings)
    seed: int = 0

    @property
    def geometry(self) -> Geometry:
        reach = [
            (o - 1) * s + (k - 1) * d + 1
            for o, s, k, d in zip(self.out, self.strides, self.kernel, self.dilations, strict=True)
        ]
        return Geometry(
            reach[0],
            reach[1],
            self.channels,
            self.kernel,
            self.strides,
            self.dilations,
            *self.out,
            self.channels,
        )

    def image(self, family: str) -> Array:
        """[1, H, W, C]: bytes, or f32 of which some are infinite or NaN."""
        random = np.random.default_rng(self.seed)
        shape = (1, self.geometry.height, self.geometry.width, self.channels)
        if family == "qmaxpool":
            return random.integers(0, 256, shape).astype(np.uint8)
        x = random.normal(size=shape).astype(np.float32)
        for special in (-np.inf, np.inf, np.nan, -np.nan):
            x[random.random(shape) < 0.01] = special
        return x


def expected_of(case: Pool, x: Array) -> Array:
    rows = case.strides[0] * np.arange(case.out[0])[:, None]
    columns = case.strides[1] * np.arange(case.out[1])
    taps = [
        x[:, rows + i * case.dilations[0], columns + j * case.dilations[1]]
        for i, j in np.ndindex(*case.kernel)
    ]
    found: Array = np.maximum.reduce(taps)  # a NaN stays one
    return found


def prepare(family: str, case: Pool) -> tuple[Call, Array]:
    """(the kernel's call, the tensor that it must write)."""
    geometry, x = case.geometry, case.image(family)
    frame = Frame(*case.border, 7)
    expected, written = Surroundings(case.border).result(expected_of(case, x), frame)
    where = Placement(
        case.around.image(x.shape, x.itemsize),
        Surroundings(case.border).image((1, *case.out, case.channels), x.itemsize),
        frame=frame,
    )
    blob, workgroups = pack_max_pool(geometry, x.itemsize, where)
    tensor = case.around.noise(x, np.random.default_rng(case.seed))
    assert written.all()
    return Call(family, (tensor.tobytes(), blob), expected.nbytes, workgroups), expected


def check(machine: Machine, family: str, cases: Sequence[Pool]) -> None:
    prepared = [prepare(family, case) for case in cases]
    results = machine.run(family, [call for call, _ in prepared])
    for case, result, (_, expected) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, expected.dtype).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=f"{machine}: {case!r}")


CHANNELS = [Pool((3, 2), c, seed=c) for c in (*range(1, 70), 96, 127, 192)]
WINDOWS = [
    Pool(out, c, kernel, strides, dilations)
    for out in ((1, 1), (5, 4))
    for c in (3, 64)
    for kernel in ((1, 1), (2, 2), (3, 3), (5, 5), (2, 3), (1, 7))
    for strides in ((1, 1), (2, 2), (3, 1))
    for dilations in ((1, 1), (2, 3))
]
PARTS = [
    Pool((4, 3), c, around=Surroundings(sides, beside))
    for c in (3, 16, 40)
    for sides in ((0, 0, 0, 0), (2, 1, 3, 4))
    for beside in ((0, 0), (5, 18))
]
LARGE = [Pool((2, out), c, kernel) for out in (37, 48) for c in (63, 250) for kernel in ((2, 2), (3, 3))]
RANDOM = st.lists(
    st.builds(
        Pool,
        st.tuples(st.integers(1, 30), st.integers(1, 9)),
        st.integers(1, 80),
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        border=st.tuples(*[st.integers(0, 3)] * 4),
        seed=st.integers(0, 2**32),
    ),
    min_size=1,
    max_size=20,
)


@each_machine
def test_every_tail_and_window(machine: Machine) -> None:
    check(machine, "qmaxpool", CHANNELS + WINDOWS + PARTS)


@each_float_machine
def test_every_tail_and_window_of_f32(machine: Machine) -> None:
    check(machine, "fmaxpool", CHANNELS + WINDOWS + PARTS + LARGE)


@each_machine
@settings(deadline=None, max_examples=10)
@given(RANDOM)
def test_random_pools_in_frames(machine: Machine, cases: list[Pool]) -> None:
    check(machine, "qmaxpool", cases)


@each_float_machine
@settings(deadline=None, max_examples=10)
@given(RANDOM)
def test_random_pools_of_f32_in_frames(machine: Machine, cases: list[Pool]) -> None:
    check(machine, "fmaxpool", cases)
