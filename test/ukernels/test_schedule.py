"""The flush schedule is sufficient (16-bit sums are exact) and tight (one step longer overflows)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantune.passes.ukernels.layouts import Layout, layout_of
from quantune.passes.ukernels.pack import runs_of, schedules
from quantune.passes.ukernels.schedule import LONGEST, biases, flush_schedules

Integers = NDArray[np.int64]


AVX2, NEON = layout_of("avx2"), layout_of("neon")


def flush_schedule(weights: Integers, largest: int, layout: Layout = AVX2) -> list[int] | None:
    """Of a single tile, [steps, columns, 4]."""
    found = flush_schedules(weights[None], layout.operands(largest), layout.lane, layout.biased)
    return None if found is None else found[0]


def lane_starts(weights: Integers, lengths: list[int], largest: int, layout: Layout) -> Integers:
    """Where the lanes of every group start: [groups, columns, lanes], zeros for layouts without biases."""
    found = biases(weights, lengths, layout.operands(largest), layout.lane)
    return found if layout.biased else np.zeros_like(found)


def lane_sums(
    weights: Integers, operands: Integers, lengths: list[int], starts: Integers, layout: Layout
) -> Integers:
    """What the kernels compute, in 16-bit arithmetic: i32 sums [cases, columns, lanes].

    weights: [steps, columns, 4]; operands: [cases, steps, 4]. A step's products go into lanes with saturation
    (`vpmaddubsw`; those of `smlal` need none), steps are added with wrap-around to where the lane starts,
    groups are widened.
    """
    steps = exact_steps(weights, operands, layout).clip(-32768, 32767).astype(np.int16)
    total = np.zeros((len(operands), *steps.shape[2:]), np.int64)
    start = 0
    for length, bias in zip(lengths, starts, strict=True):
        total += steps[:, start : start + length].sum(axis=1, dtype=np.int16) + bias.astype(np.int16)
        total -= bias
        start += length
    assert start == len(weights)
    return total


def exact_steps(weights: Integers, operands: Integers, layout: Layout) -> Integers:
    """What every step adds to every lane: [cases, steps, columns, lanes]."""
    products = operands[:, :, None, :] * weights
    found: Integers = products.reshape(*products.shape[:3], -1, layout.lane).sum(-1)
    return found


def exact_sums(weights: Integers, operands: Integers, layout: Layout) -> Integers:
    found: Integers = exact_steps(weights, operands, layout).sum(axis=1)
    return found


def sign_matched(weights: Integers, largest: int, layout: Layout) -> Integers:
    """The worst operands of every lane: largest under its positive (or its negative) weights, else least."""
    columns = weights.transpose(1, 0, 2)
    cases = []
    for first in range(0, 4, layout.lane):
        lane = slice(first, first + layout.lane)
        for signs in (columns > 0, columns < 0):
            worst = np.zeros(columns.shape, np.int64)
            worst[:, :, lane] = np.where(signs[:, :, lane], largest, 0)
            cases.append(worst - layout.shift)
    return np.concatenate(cases)


@st.composite
def tiles(draw: st.DrawFn) -> tuple[Integers, int]:
    """Weights of one tile, small to as large as can be, and the greatest activation."""
    bits, activation_bits = draw(st.integers(2, 8)), draw(st.sampled_from((8, 7, 6, 4)))
    steps, columns = draw(st.integers(1, 60)), draw(st.sampled_from((1, 2, 16)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    limit = (1 << (bits - 1)) - 1
    spread = draw(st.sampled_from((0.1, 0.3, 1.0, 10.0)))
    weights = np.rint(random.normal(scale=spread * limit, size=(steps, columns, 4))).clip(-limit, limit)
    return weights.astype(np.int64), (1 << activation_bits) - 1


@pytest.mark.parametrize("layout", [AVX2, NEON], ids=["avx2", "neon"])
@settings(deadline=None, max_examples=150)
@given(tile=tiles())
def test_the_schedule_is_sufficient_and_tight(layout: Layout, tile: tuple[Integers, int]) -> None:
    weights, largest = tile
    lengths = flush_schedule(weights, largest, layout)
    if lengths is None:
        # Refused with reason: flushing after every single step would still be wrong.
        worst = sign_matched(weights, largest, layout)
        singly = [1] * len(weights)
        each = lane_sums(weights, worst, singly, lane_starts(weights, singly, largest, layout), layout)
        assert (each != exact_sums(weights, worst, layout)).any()
        return
    assert sum(lengths) == len(weights)
    assert all(1 <= length <= LONGEST for length in lengths)
    starts = lane_starts(weights, lengths, largest, layout)
    random = np.random.default_rng(0).integers(0, largest + 1, (8, len(weights), 4)) - layout.shift
    for operands in (sign_matched(weights, largest, layout), random):
        np.testing.assert_array_equal(
            lane_sums(weights, operands, lengths, starts, layout), exact_sums(weights, operands, layout)
        )
    start = 0
    for length in lengths[:-1]:
        if length < LONGEST:
            # Between the worst sums of one step more lie more values than 16 bits can tell apart.
            longer = weights[start : start + length + 1]
            worst = exact_sums(longer, sign_matched(longer, largest, layout), layout)
            if layout.biased:
                assert (worst.max(axis=0) - worst.min(axis=0)).max() > 65535
            else:
                assert worst.max() > 32767 or worst.min() < -32768
        start += length


@pytest.mark.parametrize(
    ("weight", "largest", "length"),
    [
        (127, 255, 2),  # 127 * 128 * 2 = 32512: any two products of 8-bit weights fit a lane of NEON's
        (63, 255, 4),
        (31, 255, 8),
        (7, 255, 36),
        (-127, 127, 2),  # the operands are then -128..-1
    ],
)
def test_constant_weights_of_neon(weight: int, largest: int, length: int) -> None:
    found = flush_schedule(np.full((90, 16, 4), weight, np.int64), largest, NEON)
    assert found is not None
    assert found[0] == length


@pytest.mark.parametrize(
    ("weight", "largest", "length"),
    [
        (63, 255, 2),  # 2 * 63 * 255 * 2 = 64260: a third step never fits
        (31, 255, 4),
        (7, 255, 18),
        (127, 127, 2),
        (-64, 255, 2),  # -65280
        (-128, 128, 1),  # -32768, the very least; two are -65536
        (127, 129, 2),  # 65532
    ],
)
def test_constant_weights(weight: int, largest: int, length: int) -> None:
    found = flush_schedule(np.full((90, 16, 4), weight, np.int64), largest)
    assert found is not None
    assert found[0] == length


@pytest.mark.parametrize(("weight", "largest"), [(127, 255), (65, 255), (-65, 255), (128, 128)])
def test_a_pair_that_saturates_is_refused(weight: int, largest: int) -> None:
    assert flush_schedule(np.full((3, 16, 4), weight, np.int64), largest) is None


def test_one_column_decides_for_its_tile() -> None:
    weights = np.ones((8, 16, 4), np.int64)
    weights[:, 5, 2:] = 63
    assert flush_schedule(weights, 255) == [2] * 4


def test_groups_end_where_a_byte_ends() -> None:
    assert flush_schedule(np.zeros((600, 16, 4), np.int64), 255) == [255, 255, 90]


def test_every_run_has_a_count_and_its_own_lengths() -> None:
    """Groups never reach across runs, because the kernel moves its row pointers there."""
    packed = np.ones((2, 12, 16, 4), np.int8)
    packed[1] = 63
    assert schedules(packed, [4, 4, 4], 255, AVX2) == [bytes([1, 0, 4] * 3), bytes([2, 0, 2, 2] * 3)]
    (many,) = schedules(np.full((1, 600, 16, 4), 63, np.int8), [600], 255, AVX2) or [b""]
    assert many == bytes([300 % 256, 1]) + b"\2" * 300
    assert runs_of(bytes([2, 0, 3, 1, 1, 0, 4])) == ([2, 1], [3, 1, 4])
    assert schedules(np.full((1, 4, 16, 4), 127, np.int8), [4], 255, AVX2) is None


def test_tiles_do_not_shape_each_other() -> None:
    random = np.random.default_rng(1).integers(-31, 32, (5, 40, 16, 4))
    together = flush_schedules(random, (0, 255), AVX2.lane, AVX2.biased)
    assert together == [flush_schedule(tile, 255) for tile in random]
