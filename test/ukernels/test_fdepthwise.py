"""f32 depthwise kernels between guard pages against f64."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_convolutions import INFINITY, FloatConvolution, check
from machines import Machine, each_float_depthwise_machine
from quantune.passes.ukernels.image import Frame
from surroundings import Surroundings

ROOM = Surroundings((2, 1, 3, 4))
BESIDE = Surroundings(channels=(5, 18))


@each_float_depthwise_machine
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_every_number_of_channels(machine: Machine, residual: bool) -> None:
    """Fewer than a register has, a last block that overlaps, an odd number of blocks, several workgroups."""
    counts = (*range(1, 70), 96, 144, 160)
    check(
        machine,
        [FloatConvolution(channels=n, filters=0, kernel=(3, 3), residual=residual, seed=n) for n in counts],
    )


@each_float_depthwise_machine
def test_every_size_of_image(machine: Machine) -> None:
    shapes = [(h, w) for h in (1, 2, 5, 8) for w in (*range(1, 17), 28)]
    check(machine, [FloatConvolution(out, 40, 0, (3, 3), seed=sum(out)) for out in (*shapes, (33, 3))])


@each_float_depthwise_machine
def test_every_window(machine: Machine) -> None:
    check(
        machine,
        [
            FloatConvolution((4, 9), channels, 0, kernel, strides, dilations, seed=channels)
            for channels in (3, 20)
            for kernel in ((1, 1), (3, 3), (5, 5), (7, 7), (1, 7), (7, 1), (2, 3))
            for strides in ((1, 1), (2, 2), (1, 2), (3, 1))
            for dilations in ((1, 1), (2, 1), (1, 2), (2, 2))
        ],
    )


@each_float_depthwise_machine
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_every_epilogue(machine: Machine, residual: bool) -> None:
    check(
        machine,
        [
            FloatConvolution(channels=n, filters=0, kernel=(3, 3), bias=bias, residual=residual, clamp=clamp)
            for n in (3, 16, 50)
            for bias in (True, False)
            for clamp in ((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 0.5), (-INFINITY, 0.0))
        ],
    )


@st.composite
def convolutions(draw: st.DrawFn) -> FloatConvolution:
    def pair(*choices: int) -> tuple[int, int]:
        return draw(st.sampled_from(choices)), draw(st.sampled_from(choices))

    return FloatConvolution(
        out=pair(1, 2, 3, 5, 8, 13),
        channels=draw(st.integers(1, 100)),
        filters=0,
        kernel=pair(1, 2, 3, 5),
        strides=pair(1, 2, 3),
        dilations=pair(1, 1, 2),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        clamp=draw(st.sampled_from(((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 2.0)))),
        around_input=draw(st.sampled_from((Surroundings(), ROOM, BESIDE))),
        around_residual=draw(st.sampled_from((Surroundings(), ROOM, BESIDE))),
        around_output=ROOM,
        frame=Frame(*pair(0, 1), *pair(0, 1)),
        seed=draw(st.integers(0, 2**32)),
    )


@each_float_depthwise_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(convolutions(), min_size=1, max_size=20))
def test_random_convolutions(machine: Machine, cases: list[FloatConvolution]) -> None:
    """Many at once: starting an emulator costs more than a convolution."""
    check(machine, cases)
