"""The tests of the kernels can fail: every kind of mistake that they are there for is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

import float_convolutions
from convolutions import Convolution, prepare
from float_convolutions import FloatConvolution
from machines import KernelFault, Machine, each_float_depthwise_machine, each_machine
from quantune.passes import in_place
from quantune.passes.ukernels import bitcode
from quantune.passes.ukernels.image import Frame
from quantune.passes.ukernels.layouts import layout_of
from surroundings import Surroundings

CASE = Convolution(out=(9, 1), channels=8, filters=20)
DEPTHWISE = Convolution(channels=24, filters=0, kernel=(3, 3), residual=True)


@each_machine
@pytest.mark.parametrize(("case", "family"), [(CASE, "qconv"), (DEPTHWISE, "qdepthwise")])
def test_leaving_an_operand_ends_the_program(machine: Machine, case: Convolution, family: str) -> None:
    """Operands are made one byte too short for what the kernel is told."""
    if not bitcode.source(machine.isa, family).is_file():
        pytest.skip(f"{machine.isa} has no {family}")
    call, expected = prepare(case, machine)
    assert machine.run(family, [call]) == [expected.tobytes()]
    for index in range(len(call.inputs) - 1):
        inputs = list(call.inputs)
        for short in (inputs[index][:-1], b""):
            inputs[index] = short
            with pytest.raises(KernelFault, match="call 1 touched memory outside its operands") as raised:
                machine.run(family, [call, replace(call, inputs=tuple(inputs))])
            assert raised.value.index == 1
    with pytest.raises(KernelFault, match="call 0 "):
        machine.run(family, [replace(call, result_bytes=call.result_bytes - 1)])


@each_machine
def test_results_that_are_never_written_are_seen(machine: Machine) -> None:
    call, _ = prepare(CASE, machine)
    for wrong in (replace(call, result_bytes=call.result_bytes + 1), replace(call, workgroups=(0, 1))):
        with pytest.raises(KernelFault, match="leaves results unwritten"):
            machine.run("qconv", [wrong])


@each_machine
def test_one_wrong_weight_shows(machine: Machine) -> None:
    call, expected = prepare(replace(CASE, stored=False), machine)
    blob = bytearray(call.inputs[-1])
    blob[-16 * layout_of(machine.isa).step] ^= 1  # filter 16: the last tile's first column
    wrong = replace(call, inputs=(*call.inputs[:-1], bytes(blob)))
    assert machine.run("qconv", [wrong]) != [expected.tobytes()]


@each_float_depthwise_machine
def test_adding_a_residual_twice_is_seen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does the end of a row twice cannot have its results where the residual was."""
    monkeypatch.setattr(in_place, "FAMILIES", ("fdepthwise",))
    call, _, _ = float_convolutions.prepare(FloatConvolution(filters=0, residual=True), machine)
    with pytest.raises(KernelFault, match="call 0 gives something else where its residual was"):
        machine.run("fdepthwise", [call])


@each_machine
def test_writing_beyond_a_part_of_the_result_is_seen(machine: Machine) -> None:
    room = Surroundings((1, 1, 1, 1), (2, 0))
    framed, _ = prepare(replace(CASE, around_output=room, frame=Frame(1, 1, 1, 1)), machine)
    bare, _ = prepare(replace(CASE, around_output=room), machine)
    with pytest.raises(KernelFault, match="outside its part"):
        machine.run("qconv", [replace(framed, written=bare.written)])
