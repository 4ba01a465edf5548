"""Elementwise kernels between guard pages against the reference: every tail, layout, epilogue and extreme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from machines import Call, Machine, each_of
from quantune.numerics.epilogue import Epilogue, add_epilogue, quantize_epilogue, requantize_epilogue
from quantune.passes.ukernels.image import Frame, Image, Placement
from quantune.passes.ukernels.pack_map import Pixels, pack_map
from quantune.plan.schema import Quantization

INFINITY = float("inf")
each_machine = each_of("qmap")


@dataclass(frozen=True)
class Map:
    """One use of qmap.

    Attributes:
        size: height, width, channels.
        kind: "planes" and "real" quantize an image of planes or of pixels, "stored" requantizes, "add" adds.
        output_bits: 0 for results in f32.
        squares: the framed result as squares of two by two pixels.
        border: pixels of the frame round the result.
        slack: channels that the input's pixels have beside those that are read.
    """

    size: tuple[int, int, int]
    kind: str
    output_bits: int = 8
    squares: bool = False
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    slack: int = 0
    clamp: tuple[float, float] = (-INFINITY, INFINITY)
    seed: int = 0


def prepare(case: Map) -> tuple[Call, NDArray[Any]]:
    """(the kernel's call, the result that it must give)."""
    random = np.random.default_rng(case.seed)
    height, width, channels = case.size
    dims = (height, width, channels + case.slack)
    a, b = (
        Quantization(8, float(scale), int(random.integers(256))) for scale in random.uniform(0.01, 0.03, 2)
    )
    output = (
        Quantization(case.output_bits, 0.02, int(random.integers(1 << case.output_bits)) // 2)
        if case.output_bits
        else None
    )
    real, other = case.kind in ("planes", "real"), None
    if real:
        # Half of the values lie beyond the range, some far beyond what 32 bits hold; ties are frequent.
        values = (np.rint(random.normal(0, 300, dims)) / 2 * 0.02).astype(np.float32)
        values.ravel()[::7] *= np.float32(1e12)
    else:
        values = random.integers(0, 256, dims).astype(np.uint8)
    used = values[..., :channels]
    if real:
        assert output is not None
        epilogue = quantize_epilogue(output)
    elif case.kind == "add":
        other = random.integers(0, 256, case.size).astype(np.uint8)
        epilogue = add_epilogue(a, b, output, case.clamp)
    else:
        assert output is not None
        epilogue = requantize_epilogue(a, output)
    expected = epilogue.apply(used, other)
    top, left, bottom, right = case.border
    framed = np.pad(expected, ((top, bottom), (left, right), (0, 0)), constant_values=99)
    where = _placement(case, epilogue)
    blob, workgroups = pack_map(
        Pixels(*case.size, real, case.kind == "planes"),
        epilogue,
        where,
        squares=where.frame if case.squares else None,
    )
    if case.squares:
        split = framed.reshape(framed.shape[0] // 2, 2, framed.shape[1] // 2, 2, channels)
        framed = np.ascontiguousarray(split.transpose(0, 2, 1, 3, 4))
    stored = np.ascontiguousarray(values.transpose(2, 0, 1)) if case.kind == "planes" else values
    inputs = (stored.tobytes(), *(() if other is None else (other.tobytes(),)), blob)
    return Call("qmap_residual" if case.kind == "add" else "qmap", inputs, framed.nbytes, workgroups), framed


def _placement(case: Map, epilogue: Epilogue) -> Placement:
    _, width, channels = case.size
    top, left, bottom, right = case.border
    out_step = channels * (4 if epilogue.output is None else 1)
    in_step = (channels + case.slack) * (4 if case.kind == "real" else 1)
    row = (left + width + right) * out_step
    return Placement(
        Image(0, in_step, width * in_step),
        Image(top * row + left * out_step, out_step, row),
        Image(0, channels, width * channels) if case.kind == "add" else None,
        Frame(top, left, bottom, right, 99),
    )


def check(machine: Machine, cases: Sequence[Map]) -> None:
    prepared = [prepare(case) for case in cases]
    results = machine.run("qmap", [call for call, _ in prepared])
    for case, result, (_, expected) in zip(cases, results, prepared, strict=True):
        found = np.frombuffer(result, expected.dtype).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected, err_msg=f"{machine}: {case!r}")


@each_machine
@pytest.mark.parametrize("kind", ["planes", "real", "stored", "add"])
def test_every_width_and_number_of_channels(machine: Machine, kind: str) -> None:
    widths = (*range(1, 35), 63, 64, 224)
    check(machine, [Map((3, width, c), kind, seed=width) for width in widths for c in (1, 3, 4, 17)])
    check(machine, [Map((2, 3, c), kind, seed=c) for c in range(1, 70)])


@each_machine
def test_every_epilogue(machine: Machine) -> None:
    clamps = ((-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 0.5), (-1.0, 1.0), (-INFINITY, 0.0))
    check(
        machine,
        [
            *(
                Map((3, 9, c), "add", bits, clamp=clamp)
                for c in (2, 16)
                for bits in (8, 7, 4, 0)
                for clamp in clamps
            ),
            *(
                Map((3, 9, c), kind, bits)
                for c in (2, 16)
                for bits in (8, 7, 4)
                for kind in ("planes", "real", "stored")
            ),
        ],
    )


@each_machine
def test_frames_and_channels_of_wider_pixels(machine: Machine) -> None:
    borders = ((1, 1, 1, 1), (0, 0, 1, 1), (3, 2, 1, 0), (0, 0, 0, 0))
    check(
        machine,
        [
            Map((rows, 17, c), kind, border=border, slack=slack if kind != "planes" else 0, seed=rows)
            for rows in (1, 2, 40, 113)
            for c in (3, 20)
            for kind in ("planes", "real", "stored", "add")
            for border in borders
            for slack in (0, 5)
        ],
    )


@each_machine
def test_squares(machine: Machine) -> None:
    borders = ((1, 1, 0, 0), (0, 0, 1, 1), (3, 3, 2, 2), (2, 0, 1, 3))
    check(
        machine,
        [
            Map((2 * rows - 1, 2 * width - 1, c), kind, squares=True, border=border, slack=slack, seed=width)
            for rows, width in ((1, 1), (2, 9), (1, 17), (57, 31))
            for c in (1, 2, 3, 4)
            for kind in ("planes", "real", "stored")
            for border in borders
            for slack in ((0,) if kind == "planes" else (0, 5))
        ],
    )


@each_machine
@settings(deadline=None, max_examples=10)
@given(
    st.lists(
        st.builds(
            Map,
            st.tuples(*[st.integers(1, 40)] * 3),
            st.sampled_from(("planes", "real", "stored", "add")),
            st.sampled_from((8, 7, 5)),
            border=st.tuples(*[st.integers(0, 3)] * 4),
            seed=st.integers(0, 2**32),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_random_maps(machine: Machine, cases: list[Map]) -> None:
    check(machine, cases)
