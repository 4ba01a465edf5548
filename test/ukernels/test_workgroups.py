"""How work is shared out: all of it, once, and evenly where that is possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantune.passes.ukernels.workgroups import FAIR, WORKGROUPS, blocks, busier

MOST, TILE = 224, 14


@given(st.integers(1, 60_000), st.integers(1, 130))
def test_a_block_is_made_of_whole_tiles_that_fit(rows: int, tiles: int) -> None:
    block_rows, block_tiles = blocks(rows, tiles, MOST, TILE)
    assert 0 < block_rows <= MOST and block_rows % TILE == 0
    assert 0 < block_tiles <= tiles


@given(st.integers(1, 60_000), st.integers(1, 130))
def test_the_busier_thread_does_at_least_half(rows: int, tiles: int) -> None:
    assert 0.5 <= busier(blocks(rows, tiles, MOST, TILE), rows, tiles) <= 1


@pytest.mark.parametrize(
    "rows, tiles",
    [
        (49, 3),
        (49, 5),
        (196, 3),
        (196, 5),
        (196, 10),
        (784, 16),
        (3136, 2),
        (12544, 2),
        (12544, 4),
        (50176, 4),
    ],
)
def test_two_threads_share_the_layers_of_common_networks_evenly(rows: int, tiles: int) -> None:
    block = blocks(rows, tiles, MOST, TILE)
    assert busier(block, rows, tiles) <= FAIR
    assert -(-rows // block[0]) * -(-tiles // block[1]) >= WORKGROUPS


def test_three_workgroups_leave_a_thread_waiting() -> None:
    assert busier((49, 1), 49, 3) == pytest.approx(2 / 3)


def test_many_workgroups_are_taken_eight_at_a_time() -> None:
    assert busier((1, 1), 56, 1) == pytest.approx(4 / 7)
    assert busier((1, 1), 64, 1) == 0.5
