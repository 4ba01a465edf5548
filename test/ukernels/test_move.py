"""Moved channels between guard pages against numpy: copies and shuffles, dense and inside larger tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machines import Call, Machine, each_of
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.pack_move import Runs, pack_move
from surroundings import Surroundings

each_machine = each_of("move")
DENSE, NO_FRAME = Surroundings(), Frame()


@dataclass(frozen=True)
class Move:
    """Runs of an image's channels, dealt out in turn; see Convolution for what is round the image."""

    runs: Runs
    channels: int
    size: tuple[int, int] = (5, 3)
    around_input: Surroundings = DENSE
    around_output: Surroundings = DENSE
    frame: Frame = NO_FRAME


def prepare(case: Move) -> tuple[Call, NDArray[np.uint8]]:
    """(the kernel's call, the result that it must give)."""
    random = np.random.default_rng(case.channels)
    x = random.integers(0, 256, (1, *case.size, case.channels)).astype(np.uint8)
    places = (np.asarray(case.runs.starts) + np.arange(case.runs.length)[:, None]).ravel()
    expected, written = case.around_output.result(x[..., places], case.frame)
    where = Placement(
        case.around_input.image(x.shape, 1),
        case.around_output.image((1, *case.size, len(places)), 1),
        frame=case.frame,
    )
    blob, workgroups = pack_move(*case.size, case.runs, where)
    operands = (case.around_input.noise(x, random).tobytes(), blob)
    return Call("move", operands, expected.nbytes, workgroups, None if written.all() else written), expected


def check(machine: Machine, cases: list[Move]) -> None:
    prepared = [prepare(case) for case in cases]
    results = machine.run("move", [call for call, _ in prepared])
    for case, result, (_, expected) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=f"{machine}: {case!r}")


@each_machine
def test_every_length(machine: Machine) -> None:
    lengths = (*range(1, 36), 58, 64, 116)
    check(machine, [Move(Runs((3, 5 + n)[:runs], n), 5 + 2 * n) for n in lengths for runs in (1, 2)])


@each_machine
def test_groups_of_a_shuffle(machine: Machine) -> None:
    """As ShuffleNet's: the first half of the result, then all of it."""
    whole = [Move(Runs(tuple(range(0, 48, 48 // g)), 48 // g), 48) for g in (2, 3, 4, 8)]
    half = [Move(Runs(tuple(range(0, 48, 48 // g)), 24 // g), 48) for g in (2, 3, 4, 8)]
    check(machine, [*whole, *half])


@st.composite
def moves(draw: st.DrawFn) -> Move:
    def around() -> Surroundings:
        side, channel = st.integers(0, 3), st.integers(0, 20)
        return Surroundings((draw(side), draw(side), draw(side), draw(side)), (draw(channel), draw(channel)))

    length, channels = draw(st.integers(1, 40)), draw(st.integers(40, 90))
    starts = draw(st.lists(st.integers(0, channels - length), min_size=1, max_size=4))
    output = around()
    top, left, bottom, right = (draw(st.integers(0, most)) for most in output.sides)
    frame = Frame(top, left, bottom, right, draw(st.integers(0, 255)))
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return Move(Runs(tuple(starts), length), channels, size, around(), output, frame)


@each_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(moves(), min_size=1, max_size=20))
def test_random_moves(machine: Machine, cases: list[Move]) -> None:
    check(machine, cases)
