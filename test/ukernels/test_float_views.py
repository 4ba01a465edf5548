"""f32 kernels on parts of larger tensors: they read nothing round images and write nothing but frames."""

from __future__ import annotations

from dataclasses import replace

from float_convolutions import FloatConvolution, check
from machines import Machine, each_float_depthwise_machine, each_float_machine
from quantune.passes.ukernels.image import Frame
from surroundings import Surroundings

SQUARE = FloatConvolution((9, 7), 16, 20, (3, 3))
ROOM = Surroundings((2, 1, 3, 4))
BESIDE = Surroundings(channels=(5, 18))
FRAMES = (Frame(), Frame(1, 1, 1, 1), Frame(2, 1, 3, 4), Frame(0, 1, 0, 0), Frame(2, 0, 0, 0))


def cases(layer: FloatConvolution) -> list[FloatConvolution]:
    """Each operand in room of its own, beside other channels, and all at once; results in frames."""
    found = [
        replace(layer, around_output=room, frame=frame)
        for frame in FRAMES
        for room in (ROOM, replace(ROOM, channels=BESIDE.channels))
    ]
    found += [replace(layer, around_input=room) for room in (ROOM, BESIDE)]
    for room in (Surroundings(), ROOM, BESIDE):
        residual = replace(layer, residual=True, around_residual=room)
        found += [residual, replace(residual, around_output=ROOM, frame=FRAMES[1], around_input=BESIDE)]
    return found


@each_float_machine
def test_convolutions(machine: Machine) -> None:
    layers = (SQUARE, replace(SQUARE, kernel=(1, 1)), replace(SQUARE, strides=(2, 2), channels=3))
    check(machine, [case for layer in layers for case in cases(layer)])


@each_float_depthwise_machine
def test_depthwise_convolutions(machine: Machine) -> None:
    layers = [replace(SQUARE, channels=n, filters=0) for n in (3, 16, 24, 70)]
    strided = [replace(layer, strides=(2, 2)) for layer in layers]
    check(machine, [case for layer in (*layers, *strided) for case in cases(layer)])


@each_float_machine
def test_a_frame_is_written_once(machine: Machine) -> None:
    """Whatever the workgroups: every pixel of the result and its frame, by one of them."""
    shapes = ((40, 30), (1, 200), (300, 1), (7, 7), (1, 1), (97, 2))
    check(
        machine,
        [FloatConvolution(out, 8, 40, around_output=ROOM, frame=Frame(2, 1, 3, 4)) for out in shapes],
    )
