"""How AMX walks a convolution's pixels: in tiles of 16, evenly apart in memory or gathered first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.geometry import Geometry, Segments
from quantune.passes.ukernels.image import Image
from quantune.passes.ukernels.workgroups import WORKGROUPS, across

ROWS = 16
CHUNK = 64  # operands that one instruction takes
GATHER_BYTES = 40 * 1024  # of stack for the operands of a product, as in amx/qconv.c
LOAD_ROWS = 11  # what a product takes beside its rows of pixels, as so many rows more
COPY_COST = 7.0  # copying the operands of one tile, in products with one tile of weights
NEAR_WEIGHTS = 40 << 10  # bytes of weights that stay in L1 from one strip of pixels to the next
MOST_POINTWISE = 256 << 10  # bytes of weights of a 1x1 window that gains when they bypass L1
BEYOND_L2 = 1 << 19  # bytes of weights that are fetched between passes over an image with fewer
STRIPS = 4  # of pixels that a product takes at most
DEEP, FEW_TILES = 36, 8  # chunks of a product, tiles of a workgroup where so many are faster than two by two


@dataclass(frozen=True)
class Lines:
    """`count` lines of `length` pixels evenly apart, from one image row to the next `flat_width` pixels."""

    count: int
    length: int
    flat_width: int
    copied: bool = False

    @property
    def rows(self) -> int:
        """Rows of a tile."""
        return min(ROWS, self.length)

    @property
    def tiles(self) -> int:
        """Tiles of one line."""
        return -(-self.length // ROWS)

    @property
    def waits(self) -> bool:
        """Whether fetching a tile of weights takes longer than its products: with one tile of pixels."""
        return self.count * self.tiles == 1

    def cost(self, column_tiles: int) -> float:
        """In products of 16 rows."""
        product = (self.rows + LOAD_ROWS) / (ROWS + LOAD_ROWS)
        return self.count * self.tiles * (product + COPY_COST * self.copied / column_tiles)


def lines(geometry: Geometry, parts: Segments, image: Image, column_tiles: int) -> Lines:
    """The cheapest way to walk.

    Row by row has short tiles. The whole image as one line computes the pixels between two rows too.
    Gathering wastes neither, but copies.
    """
    height, width = geometry.out_height, geometry.out_width
    copied = Lines(1, geometry.rows, width, copied=True)
    if parts.gathered:
        return copied
    ways = [Lines(height, width, width)]
    flat, odd = divmod(geometry.strides[0] * image.step_y, geometry.strides[1] * image.step_x)
    if not odd and flat >= width:
        ways.append(Lines(1, (height - 1) * flat + width, flat))
    if STRIPS * ROWS * parts.depth <= GATHER_BYTES:
        ways.append(copied)
    return min(ways, key=lambda way: way.cost(column_tiles))


def blocks(row_tiles: int, column_tiles: int, far: bool) -> tuple[int, int]:
    """(tiles of rows, tiles of columns) of a workgroup, even so that they pair up.

    far: every block of rows would read the weights from beyond L2.
    """
    groups = 1 if far or row_tiles <= STRIPS else min(WORKGROUPS, max(1, row_tiles // 2))
    rows = _even(row_tiles, groups)
    return rows, _even(column_tiles, min(across(row_tiles, rows), max(1, column_tiles // 2)))


def _even(count: int, parts: int) -> int:
    return -(-count // parts // 2) * 2


def bounded(packed: NDArray[np.int8], epilogue: Epilogue, residual_f32: bool) -> bool:
    """Whether results are u8 and, before they are clamped, within the range of i32 whatever the input.

    packed: [tiles, steps, 16, step]. With half of the range to spare, so that rounding does not matter.
    """
    if epilogue.output is None or residual_f32:
        return False
    largest = 255 * int(np.abs(packed.astype(np.int32)).sum(axis=(1, 3)).max())
    reach = largest * float(np.abs(epilogue.multiplier).max()) + float(np.abs(epilogue.offset).max())
    return reach + 255 * abs(float(epilogue.residual_multiplier or 0)) < 1 << 30


def fields(
    found: Lines, geometry: Geometry, parts: Segments, panel_bytes: int, column_tiles: int
) -> dict[str, int]:
    """The fields that only AMX reads, and those it reads in its own way."""
    row_tiles = found.count * found.tiles
    image, weights = geometry.height * geometry.width * geometry.channels, panel_bytes * column_tiles
    far = weights > max(BEYOND_L2, image)
    rows, columns = blocks(row_tiles, column_tiles, far)
    few = min(rows, row_tiles) <= FEW_TILES and parts.depth >= DEEP * parts.chunk
    inner = found.copied or not far
    kept = min(columns, column_tiles) if inner else 1 if few else 2
    passing = kept * panel_bytes > NEAR_WEIGHTS
    return {
        "copied": int(found.copied),
        "chunk": parts.chunk,
        "tile_rows": found.rows,
        "line_length": found.length,
        "line_tiles": found.tiles,
        "row_tiles": row_tiles,
        "strips": STRIPS if few else 2,
        "flat_width": found.flat_width,
        "block_rows": rows,
        "block_tiles": columns,
        "tiles_inner": int(inner),
        "passing": int(passing and (geometry.kernel != (1, 1) or weights <= MOST_POINTWISE)),
    }
