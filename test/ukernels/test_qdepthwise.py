"""Depthwise kernels between guard pages against the reference: every tail, window, epilogue and extreme."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convolutions import FILLS, INFINITY, Convolution, Fill, check
from machines import Machine
from machines import each_depthwise_machine as each_machine

SAME = Convolution(filters=0, kernel=(3, 3), padding=((1, 1), (1, 1)), weight_bits=8)


@each_machine
def test_every_number_of_channels(machine: Machine) -> None:
    check(
        machine,
        [
            replace(SAME, channels=c, residual=residual, stored=stored, seed=c)
            for c in (*range(1, 50), 58, 64, 80, 96, 116, 120, 144)
            for residual, stored in ((False, True), (False, False), (True, True), (True, False))
        ],
    )


@each_machine
def test_every_number_of_pixels(machine: Machine) -> None:
    """Up to several workgroups."""
    sizes = [*((n, 1) for n in range(1, 26)), *((1, n) for n in range(1, 26)), (57, 3), (14, 14), (112, 5)]
    check(
        machine, [replace(SAME, out=out, channels=c, seed=sum(out)) for out in sizes for c in (7, 32, 64, 72)]
    )


@each_machine
def test_every_window(machine: Machine) -> None:
    check(
        machine,
        [
            Convolution((4, 5), c, 0, kernel, strides, dilations, padding, weight_bits=8, seed=c)
            for c in (5, 16, 32, 33, 64)
            for kernel in ((1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (7, 7), (2, 3), (2, 2))
            for strides in ((1, 1), (2, 2), (1, 2), (3, 1))
            for dilations in ((1, 1), (2, 1), (1, 2), (2, 2))
            for padding in (((0, 0), (0, 0)), ((1, 0), (1, 2)))
        ],
    )


@each_machine
@pytest.mark.parametrize("fill", FILLS)
def test_every_width_at_the_extremes(machine: Machine, fill: Fill) -> None:
    cases = [
        Convolution((4, 3), c, 0, kernel, weight_bits=bits, input_bits=input_bits, seed=bits)
        for c in (3, 32, 72)
        for kernel in ((3, 3), (5, 5), (7, 7), (1, 2))
        for bits in range(2, 9)
        for input_bits in (8, 7, 4)
    ]
    check(machine, [replace(case, fill=fill) for case in cases])


@each_machine
@pytest.mark.parametrize("stored", [True, False], ids=["u8", "f32"])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_every_epilogue(machine: Machine, stored: bool, residual: bool) -> None:
    clamps = ((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 0.5), (-1.0, 1.0), (-INFINITY, 0.0))
    base = replace(SAME, stored=stored, residual=residual)
    check(
        machine,
        [
            replace(base, channels=c, output_bits=bits, clamp=clamp, seed=bits)
            for c in (13, 32, 64)
            for bits in (8, 7, 4)
            for clamp in clamps
        ],
    )


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    def pair(*choices: int) -> tuple[int, int]:
        return draw(st.sampled_from(choices)), draw(st.sampled_from(choices))

    case = Convolution(
        out=pair(1, 2, 3, 5, 8, 13, 30),
        channels=draw(st.one_of(st.integers(1, 150), st.sampled_from((32, 64, 96)))),
        filters=0,
        kernel=pair(1, 2, 3, 5, 7),
        strides=pair(1, 2, 3),
        dilations=pair(1, 1, 2),
        weight_bits=draw(st.integers(2, 8)),
        input_bits=draw(st.sampled_from((8, 7, 5))),
        output_bits=draw(st.sampled_from((8, 7, 4))),
        residual=draw(st.booleans()),
        stored=draw(st.booleans()),
        clamp=draw(st.sampled_from(((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 2.0)))),
        seed=draw(st.integers(0, 2**32)),
    )
    top, left = (min(draw(st.integers(0, 2)), (reach - 1) // 2) for reach in case.reach)
    return replace(case, padding=((top, top), (left, 0)))


@each_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(convolutions(), min_size=1, max_size=20))
def test_random_convolutions(machine: Machine, cases: list[Convolution]) -> None:
    """Many at once: starting an emulator costs more than a convolution."""
    check(machine, cases)
