"""Maximum pooling between guard pages against numpy: every tail, window and frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machines import Call, Machine, each_of
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Frame, Image, Placement, dense
from quantune.passes.ukernels.pack_pool import pack_max_pool

each_machine = each_of("qmaxpool")
Pair = tuple[int, int]


@dataclass(frozen=True)
class Pool:
    """One maximum pool of an input that ends where its last window ends. border: of the frame round it."""

    out: Pair
    channels: int
    kernel: Pair = (3, 3)
    strides: Pair = (2, 2)
    dilations: Pair = (1, 1)
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
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


def prepare(case: Pool) -> tuple[Call, NDArray[np.uint8]]:
    """(the kernel's call, the result that it must give)."""
    geometry = case.geometry
    x = np.random.default_rng(case.seed).integers(0, 256, (geometry.height, geometry.width, case.channels))
    expected = np.zeros((*case.out, case.channels), np.int64)
    for i, j in np.ndindex(*case.kernel):
        rows = case.dilations[0] * i + case.strides[0] * np.arange(case.out[0])
        columns = case.dilations[1] * j + case.strides[1] * np.arange(case.out[1])
        expected = np.maximum(expected, x[rows][:, columns])
    top, left, bottom, right = case.border
    framed = np.pad(expected, ((top, bottom), (left, right), (0, 0)), constant_values=7).astype(np.uint8)
    row = framed.shape[1] * case.channels
    where = Placement(
        dense(geometry.width, case.channels),
        Image(top * row + left * case.channels, case.channels, row),
        frame=Frame(top, left, bottom, right, 7),
    )
    blob, workgroups = pack_max_pool(geometry, where)
    return Call("qmaxpool", (x.astype(np.uint8).tobytes(), blob), framed.nbytes, workgroups), framed


def check(machine: Machine, cases: Sequence[Pool]) -> None:
    prepared = [prepare(case) for case in cases]
    results = machine.run("qmaxpool", [call for call, _ in prepared])
    for case, result, (_, expected) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=f"{machine}: {case!r}")


@each_machine
def test_every_number_of_channels(machine: Machine) -> None:
    check(machine, [Pool((3, 2), c, seed=c) for c in (*range(1, 70), 96, 127, 192)])


@each_machine
def test_every_window(machine: Machine) -> None:
    check(
        machine,
        [
            Pool(out, c, kernel, strides, dilations)
            for out in ((1, 1), (5, 4))
            for c in (3, 64)
            for kernel in ((1, 1), (2, 2), (3, 3), (5, 5), (2, 3), (1, 7))
            for strides in ((1, 1), (2, 2), (3, 1))
            for dilations in ((1, 1), (2, 3))
        ],
    )


@each_machine
@settings(deadline=None, max_examples=10)
@given(
    st.lists(
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
)
def test_random_pools_in_frames(machine: Machine, cases: list[Pool]) -> None:
    check(machine, cases)
