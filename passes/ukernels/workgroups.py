"""How a layer's work is shared out."""

from __future__ import annotations

WORKGROUPS = 4  # enough that two threads share the work evenly


def blocks(rows: int, tiles: int, most_rows: int, tile_rows: int) -> tuple[int, int]:
    """(rows, tiles of columns) of a workgroup of a convolution.

    Rows are a multiple of `tile_rows`, so that tiles fill, and at most `most_rows`; columns are shared where
    rows are few.
    """
    most = most_rows // tile_rows * tile_rows
    groups = max(1, -(-rows // most))
    share = -(-rows // groups)
    block = min(most, -(-share // tile_rows) * tile_rows)
    groups = -(-rows // block)
    across = 1 if groups >= WORKGROUPS else min(tiles, -(-WORKGROUPS // groups))
    return block, -(-tiles // across)
