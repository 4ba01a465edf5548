"""Kernels on parts of larger tensors: they read nothing round their images and write nothing but frames."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convolutions import Convolution, check
from machines import Machine, each_depthwise_machine, each_machine
from quantune.passes.ukernels.image import Frame
from surroundings import Surroundings
from test_qconv import convolutions

SQUARE = Convolution((9, 7), 16, 20, (3, 3), padding=((1, 1), (1, 1)))
ROOM = Surroundings((2, 1, 3, 4))
BESIDE = Surroundings(channels=(5, 18))
FRAMES = (Frame(), Frame(1, 1, 1, 1, 7), Frame(2, 1, 3, 4, 255), Frame(0, 1, 0, 0, 3), Frame(2, 0, 0, 0, 1))


def cases(layer: Convolution) -> list[Convolution]:
    """Each operand in room of its own, beside other channels, and all at once; results in frames."""
    found = [
        replace(layer, around_output=room, frame=frame, stored=stored, seed=seed)
        for stored in (True, False)
        for seed, frame in enumerate(FRAMES)
        for room in (ROOM, replace(ROOM, channels=BESIDE.channels))
    ]
    found.append(replace(layer, around_input=ROOM))
    for f32 in (False, True):
        for room in (Surroundings(), ROOM, BESIDE):
            residual = replace(layer, residual=True, residual_f32=f32, around_residual=room)
            found += [residual, replace(residual, stored=False, around_output=ROOM, frame=FRAMES[1])]
    return found


@each_machine
def test_convolutions(machine: Machine) -> None:
    pointwise = replace(SQUARE, kernel=(1, 1), padding=((0, 0), (0, 0)))
    strided = replace(SQUARE, strides=(2, 2), channels=3)
    found = [case for layer in (SQUARE, pointwise, strided) for case in cases(layer)]
    slices = [
        replace(pointwise, channels=c, around_input=BESIDE, strides=s)
        for c in (3, 8, 30)
        for s in ((1, 1), (2, 2))
    ]
    check(machine, [*found, *slices])


@each_depthwise_machine
@pytest.mark.parametrize("channels", [3, 16, 24, 32, 70, 144])
def test_depthwise_convolutions(machine: Machine, channels: int) -> None:
    found = cases(replace(SQUARE, channels=channels, filters=0))
    slices = [replace(case, around_input=replace(ROOM, channels=BESIDE.channels)) for case in found]
    strided = [replace(case, strides=(2, 2)) for case in slices]
    check(machine, [*found, *slices, *strided])


@each_machine
def test_a_frame_is_written_once(machine: Machine) -> None:
    """Whatever the workgroups: every pixel of the result and its frame, by one of them."""
    shapes = ((40, 30), (1, 200), (200, 1), (7, 7), (1, 1), (97, 2))
    large = [Convolution(out, 8, 40, around_output=ROOM, frame=Frame(2, 1, 3, 4, 9)) for out in shapes]
    check(machine, large)


@each_machine
def test_groups(machine: Machine) -> None:
    """Of a few channels, whose windows must be gathered, and of more than a tile's."""
    found = [
        Convolution(
            (5, 4),
            groups * inner,
            groups * outer,
            kernel,
            strides,
            padding=padding,
            groups=groups,
            seed=outer,
        )
        for groups in (2, 3, 8)
        for inner, outer in ((1, 3), (3, 16), (4, 4), (8, 20), (36, 33))
        for kernel, padding in (((1, 1), ((0, 0), (0, 0))), ((3, 3), ((1, 1), (1, 1))))
        for strides in ((1, 1), (2, 2))
    ]
    views = [
        replace(case, around_output=ROOM, frame=FRAMES[1], residual=True, around_residual=BESIDE)
        for case in found
    ]
    check(machine, [case for case in [*found, *views] if case.geometry.supported])


@st.composite
def placed(draw: st.DrawFn) -> Convolution:
    """A random convolution with random surroundings."""

    def around(whole_pixels: bool = False) -> Surroundings:
        side, channel = st.integers(0, 3), st.integers(0, 20)
        sides = (draw(side), draw(side), draw(side), draw(side))
        return Surroundings(sides, (0, 0) if whole_pixels else (draw(channel), draw(channel)))

    case, output = draw(convolutions()), around()
    top, left, bottom, right = (draw(st.integers(0, most)) for most in output.sides)
    return replace(
        case,
        around_input=around(case.geometry.whole_rows),
        around_output=output,
        around_residual=around(),
        frame=Frame(top, left, bottom, right, draw(st.integers(0, 255))),
        residual_f32=draw(st.booleans()),
    )


@each_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(placed(), min_size=1, max_size=20))
def test_random_views(machine: Machine, cases: list[Convolution]) -> None:
    check(machine, [case for case in cases if case.geometry.supported])
