"""How a layer's work is shared out.

A workgroup is a block of rows (or of tiles of rows) by columns (tiles of filters, or blocks of channels).
Threads take the next one, along the rows first, when they are done with one; what is left at the end makes
one of them wait.
"""

from __future__ import annotations

Block = tuple[int, int]
"""Rows and columns of a workgroup."""

WORKGROUPS = 4  # a layer's: enough for threads to share, few enough that starting them costs little
FAIR = 0.53  # of the work: a share of the busier of two threads that is even enough
CLAIM = 8  # workgroups that IREE's threads take at a time, where there are as many for each
MORE = 8  # blocks of rows that are tried beyond the fewest


def blocks(rows: int, tiles: int, most_rows: int, tile_rows: int) -> Block:
    """(rows, tiles of columns) of a workgroup of a convolution.

    Rows are a multiple of `tile_rows`, so that tiles fill, and at most `most_rows`; columns are shared where
    rows are few. As few workgroups as two threads share evenly, or nearly so.
    """
    most = most_rows // tile_rows * tile_rows
    fewest = -(-rows // most)
    ways = []
    for groups in range(fewest, fewest + MORE + 1):
        block = -(-rows // groups // tile_rows) * tile_rows
        ways.append((min(most, block), -(-tiles // min(tiles, across(rows, block)))))
    return min(ways, key=lambda block: max(FAIR, busier(block, rows, tiles)))


def across(rows: int, block: int) -> int:
    """Into how many shares columns go, so that blocks of so many rows make enough workgroups."""
    return -(-WORKGROUPS // -(-rows // block))


def busier(block: Block, rows: int, columns: int) -> float:
    """The share of the work that the busier of two threads does."""
    work = [
        min(block[0], rows - row) * min(block[1], columns - column)
        for column in range(0, columns, block[1])
        for row in range(0, rows, block[0])
    ]
    at_once = CLAIM if len(work) >= 2 * CLAIM else 1
    done = [0, 0]
    for first in range(0, len(work), at_once):
        done = sorted(done)
        done[0] += sum(work[first : first + at_once])
    return max(done) / (rows * columns)
