"""f32 convolutions that pool at once, between guard pages: the maxima of what they give alone, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from float_convolutions import INFINITY, FloatConvolution, numbers
from machines import Call, KernelFault, Machine, each_float_machine
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Frame, Placement
from quantune.passes.ukernels.pack_fconv import pack_fconv
from quantune.passes.ukernels.pack_fconv_pooled import Pooling, pack_fconv_pooled
from surroundings import Surroundings

Array = NDArray[Any]
Pair = tuple[int, int]
ROOM = Surroundings((2, 1, 3, 4), (5, 18))


@dataclass(frozen=True)
class Pooled:
    """A convolution and the pool of its result. padding: top, left, bottom, right."""

    conv: FloatConvolution
    kernel: Pair = (3, 3)
    strides: Pair = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def pooling(self) -> Pooling:
        top, left, bottom, right = self.padding
        height, width = self.conv.out[0] + top + bottom, self.conv.out[1] + left + right
        out = [
            (size - k) // s + 1 for size, k, s in zip((height, width), self.kernel, self.strides, strict=True)
        ]
        channels = self.conv.filters
        geometry = Geometry(
            height, width, channels, self.kernel, self.strides, (1, 1), out[0], out[1], channels
        )
        return Pooling(geometry, top, left)

    def pool(self, image: Array) -> Array:
        """[1, H, W, F] → its maxima."""
        top, left, bottom, right = self.padding
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, (1, 2))
        return np.ascontiguousarray(windows[:, :: self.strides[0], :: self.strides[1]].max(axis=(-2, -1)))


def prepare(case: Pooled, machine: Machine) -> tuple[Call, Call]:
    """(the convolution's call, the one that pools)."""
    conv, pool = case.conv, case.pooling
    x, weight, finish = numbers(conv)
    image = conv.around_input.noise(x[None], np.random.default_rng(0)).tobytes()
    seen = conv.around_input.image((1, *x.shape), 4)
    dense = conv.geometry.dense(4, None, 4).output
    blob, workgroups = pack_fconv(machine.isa, conv.geometry, weight, finish, Placement(seen, dense))
    alone = Call("fconv", (image, blob), 4 * conv.geometry.rows * conv.filters, workgroups)
    result = np.zeros((1, pool.geometry.out_height, pool.geometry.out_width, conv.filters), np.float32)
    tensor, written = conv.around_output.result(result, conv.frame)
    where = Placement(seen, conv.around_output.image(result.shape, 4), frame=conv.frame)
    blob, workgroups = pack_fconv_pooled(machine.isa, conv.geometry, weight, finish, pool, where)
    part = None if written.all() else written
    memory = workgroups[0] * pool.ring_bytes
    return alone, Call("fconv_pooled", (image, blob), tensor.nbytes, workgroups, part, memory)


def check(machine: Machine, cases: Sequence[Pooled]) -> None:
    calls = [call for case in cases for call in prepare(case, machine)]
    try:
        results = machine.run("fconv", calls)
    except KernelFault as fault:
        where = "" if fault.index is None else f": {cases[fault.index // 2]!r}"
        raise AssertionError(f"{fault}{where}") from None
    for case, alone, found in zip(cases, results[::2], results[1::2], strict=True):
        image = np.frombuffer(alone, np.float32).reshape(1, *case.conv.out, case.conv.filters)
        expected, _ = case.conv.around_output.result(case.pool(image), case.conv.frame)
        np.testing.assert_array_equal(
            np.frombuffer(found, np.float32).reshape(expected.shape), expected, err_msg=f"{machine}: {case!r}"
        )


@each_float_machine
def test_every_size(machine: Machine) -> None:
    """From one window to several workgroups, rows of all widths up to the widest."""
    shapes = [
        *((n, 6) for n in range(3, 21)),
        *((5, n) for n in (3, 4, 7, 15, 56, 111, 112, 113, 223, 224)),
        (40, 40),
    ]
    check(machine, [Pooled(FloatConvolution(out, filters=20, seed=sum(out))) for out in shapes])


@each_float_machine
def test_every_number_of_filters(machine: Machine) -> None:
    check(machine, [Pooled(FloatConvolution((9, 7), filters=n, seed=n)) for n in (*range(1, 68), 96, 100)])


@each_float_machine
def test_every_window_and_padding(machine: Machine) -> None:
    """Windows that overlap, touch and leave rows out; padding that some windows see alone."""
    conv = FloatConvolution((11, 10), 3, 19, (3, 3), (2, 2))
    check(
        machine,
        [
            Pooled(conv, kernel, strides, padding)
            for kernel in ((1, 1), (2, 2), (3, 3), (5, 3), (2, 4))
            for strides in ((1, 1), (2, 2), (3, 1), (4, 3))
            for padding in ((0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 2, 2), (2, 3, 1, 0))
        ],
    )


@each_float_machine
def test_deep_and_grouped_convolutions(machine: Machine) -> None:
    """Panels that are taken in parts, more workgroups for more work, panels of several groups, a clamp."""
    check(
        machine,
        [
            Pooled(FloatConvolution((8, 6), 300, 50, (3, 3), clamp=(0.0, INFINITY))),
            Pooled(FloatConvolution((30, 28), 40, 64, (3, 3), bias=False), (2, 2)),
            Pooled(FloatConvolution((60, 40), 50, 64, (3, 3)), padding=(1, 1, 1, 1)),
            Pooled(FloatConvolution((12, 12), 12, 99, (3, 3), dilations=(2, 1), groups=3, clamp=(-1.0, 1.0))),
        ],
    )


@each_float_machine
def test_parts_of_larger_tensors(machine: Machine) -> None:
    convs = [
        FloatConvolution(
            (13, 9), 8, filters, (3, 3), around_input=before, around_output=ROOM, frame=Frame(2, 1, 3, 4)
        )
        for filters in (5, 40)
        for before in (Surroundings(), ROOM)
    ]
    check(machine, [Pooled(conv, padding=(1, 1, 1, 1)) for conv in convs])


@st.composite
def pooled(draw: st.DrawFn) -> Pooled:
    def pair(*choices: int) -> Pair:
        return draw(st.sampled_from(choices)), draw(st.sampled_from(choices))

    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    conv = FloatConvolution(
        pair(4, 5, 8, 13, 30),
        draw(st.integers(1, 20)),
        draw(st.integers(1, 70)),
        pair(1, 3),
        pair(1, 2),
        bias=draw(st.booleans()),
        around_output=ROOM,
        frame=Frame(*pair(0, 1), *pair(0, 1)),
        seed=draw(st.integers(0, 2**32)),
    )
    return Pooled(conv, pair(1, 2, 3, 4), pair(1, 2, 3), padding)


@each_float_machine
@settings(deadline=None, max_examples=10)
@given(st.lists(pooled(), min_size=1, max_size=20))
def test_random_pools(machine: Machine, cases: list[Pooled]) -> None:
    check(machine, cases)


@each_float_machine
def test_too_little_memory_is_seen(machine: Machine) -> None:
    """The harness guards what a kernel works in, as it does operands."""
    _, call = prepare(Pooled(FloatConvolution((9, 7))), machine)
    with pytest.raises(KernelFault, match="touched memory outside its operands"):
        machine.run("fconv", [replace(call, memory=call.memory - 1)])
