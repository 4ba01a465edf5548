"""f32 convolution kernels between guard pages against f64: every tail, window, group, frame and clamp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from float_convolutions import INFINITY, FloatConvolution, check, numbers, prepare
from machines import Machine, each_float_machine
from quantune.passes.ukernels.image import Frame
from surroundings import Surroundings

POINTWISE, SQUARE = (1, 1), (3, 3)
ROOM = Surroundings((2, 1, 3, 4))
BESIDE = Surroundings(channels=(5, 18))


@each_float_machine
def test_every_number_of_filters(machine: Machine) -> None:
    check(
        machine,
        [
            FloatConvolution(filters=n, residual=residual, seed=n)
            for n in (*range(1, 68), 96, 100)
            for residual in (False, True)
        ],
    )


@each_float_machine
def test_every_number_of_rows(machine: Machine) -> None:
    """Up to several workgroups, in rows and in columns of the image."""
    counts = (*range(1, 31), 47, 48, 49, 191, 192, 193, 223, 224, 225, 226, 449, 600)
    shapes = [*((n, 1) for n in counts), *((1, n) for n in counts), (7, 11), (29, 13), (14, 14)]
    check(
        machine,
        [
            FloatConvolution(out=out, channels=c, filters=filters, seed=sum(out))
            for out in shapes
            for c, filters in ((1, 20), (4, 20), (5, 57))
        ],
    )


@each_float_machine
def test_every_number_of_channels(machine: Machine) -> None:
    check(
        machine,
        [
            FloatConvolution(channels=c, kernel=kernel, seed=c)
            for c in (*range(1, 18), 31, 58, 64)
            for kernel in (POINTWISE, SQUARE)
        ],
    )


@each_float_machine
def test_depths_that_are_taken_in_parts(machine: Machine) -> None:
    """Few rows take a part of the operands at a time; parts end within windows' rows and between them."""
    shapes = ((1, 1), (3, 5), (7, 7), (9, 8))
    depths = (
        (255, POINTWISE),
        (256, POINTWISE),
        (257, POINTWISE),
        (1030, POINTWISE),
        (90, SQUARE),
        (300, SQUARE),
    )
    check(
        machine,
        [
            FloatConvolution(out, c, 50, kernel, residual=c == 300, clamp=(-1, 2), seed=c)
            for out in shapes
            for c, kernel in depths
        ]
        + [FloatConvolution((7, 7), 140, 160, SQUARE, dilations=(1, 2), groups=2)],
    )


@each_float_machine
def test_every_window(machine: Machine) -> None:
    check(
        machine,
        [
            FloatConvolution((4, 5), channels, 17, kernel, strides, dilations, seed=channels)
            for channels in (3, 4)
            for kernel in (POINTWISE, SQUARE, (5, 5), (1, 7), (7, 1), (7, 7), (2, 3))
            for strides in ((1, 1), (2, 2), (1, 2), (3, 1))
            for dilations in ((1, 1), (2, 1), (1, 2), (2, 2))
        ],
    )


@each_float_machine
def test_groups_have_their_own_operands_and_tiles(machine: Machine) -> None:
    check(
        machine,
        [
            FloatConvolution(
                channels=groups * c, filters=groups * f, kernel=kernel, groups=groups, residual=c == 3
            )
            for groups in (2, 3, 8)
            for c, f in ((1, 1), (3, 5), (4, 16), (2, 33))
            for kernel in (POINTWISE, SQUARE)
        ],
    )


@each_float_machine
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_every_epilogue(machine: Machine, residual: bool) -> None:
    clamps = ((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 0.5), (-1.0, 1.0), (-INFINITY, 0.0))
    check(
        machine,
        [
            FloatConvolution(filters=n, bias=bias, residual=residual, clamp=clamp)
            for n in (16, 19, 53)
            for bias in (True, False)
            for clamp in clamps
        ],
    )


@each_float_machine
def test_small_and_large_panels_and_shared_columns(machine: Machine) -> None:
    """Both orders of the loops; few rows, whose columns are shared among workgroups."""
    check(
        machine,
        [
            FloatConvolution((14, 14), 256, 40, SQUARE, residual=True),
            FloatConvolution((14, 14), 256, 120, SQUARE, residual=True),
            FloatConvolution((1, 1), 1280, 1000),
            FloatConvolution((7, 7), 64, 160),
            FloatConvolution((20, 20), 16, 96),
            FloatConvolution((40, 10), 3, 64, (7, 7), (2, 2)),
            FloatConvolution((2, 2), 2048, 16),
        ],
    )


@each_float_machine
@pytest.mark.parametrize("filters", [20, 0], ids=["fconv", "fdepthwise"])
def test_nan_stays_nan(machine: Machine, filters: int) -> None:
    """Behind a clamp, too: what went wrong before must be seen at the end."""
    case = FloatConvolution((5, 6), 20, filters, SQUARE if not filters else POINTWISE, clamp=(0.0, 6.0))
    call, expected, _ = prepare(case, machine)
    x, _, _ = numbers(case)
    x[3, 3, :] = float("nan")
    found = machine.run(case.family, [replace(call, inputs=(x.tobytes(), *call.inputs[1:]))])[0]
    nan = np.isnan(np.frombuffer(found, np.float32).reshape(expected.shape))
    seen = np.zeros_like(nan)
    first = 3 - (case.kernel[0] - 1)
    seen[:, first:4, first:4] = True
    np.testing.assert_array_equal(nan, seen)


@st.composite
def convolutions(draw: st.DrawFn) -> FloatConvolution:
    def pair(*choices: int) -> tuple[int, int]:
        return draw(st.sampled_from(choices)), draw(st.sampled_from(choices))

    groups = draw(st.sampled_from((1, 1, 1, 2, 5)))
    return FloatConvolution(
        out=pair(1, 2, 3, 5, 8, 13),
        channels=groups * draw(st.integers(1, 40)),
        filters=groups * draw(st.integers(1, 70)),
        kernel=pair(1, 2, 3, 5),
        strides=pair(1, 2, 3),
        dilations=pair(1, 1, 2),
        groups=groups,
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        clamp=draw(st.sampled_from(((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 2.0)))),
        around_input=draw(st.sampled_from((Surroundings(), ROOM, BESIDE))),
        around_output=ROOM,
        frame=Frame(*pair(0, 1), *pair(0, 1)),
        seed=draw(st.integers(0, 2**32)),
    )


@each_float_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(convolutions(), min_size=1, max_size=20))
def test_random_convolutions(machine: Machine, cases: list[FloatConvolution]) -> None:
    """Many at once: starting an emulator costs more than a convolution."""
    check(machine, cases)


@each_float_machine
def test_one_wrong_weight_shows(machine: Machine) -> None:
    """The bound is tight enough to find a weight that is off by a thousandth."""
    case = FloatConvolution(out=(9, 1), kernel=SQUARE, bias=False)
    call, expected, bound = prepare(case, machine)
    blob = bytearray(call.inputs[-1])
    weights = memoryview(blob).cast("f")
    place = max(range(len(weights) - 64, len(weights)), key=lambda i: abs(weights[i]))
    weights[place] *= 1.001
    wrong = machine.run("fconv", [replace(call, inputs=(*call.inputs[:-1], bytes(blob)))])[0]
    found = memoryview(wrong).cast("f")
    distance = [abs(a - b) / c for a, b, c in zip(found, expected.ravel(), bound.ravel(), strict=True)]
    assert max(distance) > 10
