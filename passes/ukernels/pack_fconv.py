"""An f32 convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels import bitcode
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Image, Placement
from quantune.passes.ukernels.params import Blob
from quantune.passes.ukernels.workgroups import blocks

ELEMENT = 4  # bytes
MOST_ROWS = 224  # of a workgroup, as in fconv_driver.h
SEGMENT = 128  # operands of one at most: PART of a pair, as there
SMALL_PANELS = 32 * 1024  # bytes of weights that stay in L1 beside a few rows


@dataclass(frozen=True)
class Finish:
    """What follows the sums: bias [F] or none, whether a residual is added, then the clamp."""

    bias: NDArray[np.float32] | None = None
    residual: bool = False
    clamp: tuple[float, float] = (-math.inf, math.inf)

    def biases(self, filters: int) -> NDArray[np.float32]:
        """f32 [filters], zeros without a bias."""
        bias = np.float32(0) if self.bias is None else self.bias.astype(np.float32, copy=False)
        return np.broadcast_to(bias, filters)

    @property
    def bounds(self) -> dict[str, int | float]:
        """The clamp's fields."""
        return {"low": float(self.clamp[0]), "high": float(self.clamp[1])}


def pack_fconv(
    isa: str,
    geometry: Geometry,
    weight: NDArray[np.float32],
    finish: Finish,
    placement: Placement | None = None,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y).

    isa: the folder whose kernel reads it. weight: [KH, KW, C / groups, F] or [K, F]. placement: by default
    dense tensors; images count in bytes.
    """
    tile_rows, tile_columns = (define(isa, "fconv", f"TILE_{side}") for side in ("ROWS", "COLUMNS"))
    packed = _weights(weight, geometry, tile_columns)
    tiles, depth, _ = packed.shape
    group_tiles = tiles // geometry.groups
    rows, columns = blocks(geometry.rows, tiles, MOST_ROWS, tile_rows)
    where = placement or geometry.dense(ELEMENT, ELEMENT if finish.residual else None, ELEMENT)
    blob = Blob("fconv")
    table = _segments(geometry, where.input)
    segments_offset = blob.add(table.astype("<i4").tobytes())
    bias_offset = blob.add(
        _tiled(finish.biases(geometry.filters)[None], geometry.groups, tile_columns).tobytes()
    )
    weight_offset = blob.add(packed.astype("<f4", copy=False).tobytes())
    header = {
        "rows": geometry.rows,
        "out_width": geometry.out_width,
        "in_offset": where.input.offset,
        "in_step_x": geometry.strides[1] * where.input.step_x,
        "in_step_y": geometry.strides[0] * where.input.step_y,
        "segments": len(table),
        "depth": depth,
        "filters": geometry.filters // geometry.groups,
        "group_tiles": group_tiles,
        "group_bytes": geometry.channels // geometry.groups * ELEMENT,
        "tiles": tiles,
        "block_rows": rows,
        "block_tiles": columns,
        "tiles_inner": int(packed.nbytes <= SMALL_PANELS),
        "segments_offset": segments_offset,
        "bias_offset": bias_offset,
        "weight_offset": weight_offset,
    }
    header |= where.fields | finish.bounds
    return blob.finish(header), (-(-geometry.rows // rows), -(-tiles // columns))


@functools.cache
def define(isa: str, family: str, name: str) -> int:
    """A number that a kernel's C file defines: it is written down only there."""
    found = re.search(rf"^#define {name} (\d+)$", bitcode.source(isa, family).read_text(), re.MULTILINE)
    assert found is not None, (isa, family, name)
    return int(found[1])


def _segments(geometry: Geometry, image: Image) -> NDArray[np.int64]:
    """[segments, 2]: byte offset from a pixel's first operand, bytes; of taps side by side as one run."""
    side_by_side = geometry.whole_rows and image.step_x == geometry.channels * ELEMENT
    joined = geometry.kernel[1] if side_by_side else 1
    run = joined * geometry.channels // geometry.groups * ELEMENT
    rows = np.arange(geometry.kernel[0]) * geometry.dilations[0] * image.step_y
    columns = np.arange(0, geometry.kernel[1], joined) * geometry.dilations[1] * image.step_x
    starts = (rows[:, None] + columns).ravel()
    cuts = np.arange(0, run, SEGMENT * ELEMENT)
    lengths = np.minimum(run - cuts, SEGMENT * ELEMENT)
    return np.stack([(starts[:, None] + cuts).ravel(), np.tile(lengths, len(starts))], axis=1)


def _weights(weight: NDArray[np.float32], geometry: Geometry, columns: int) -> NDArray[np.float32]:
    """[KH, KW, C / groups, F] (or [K, F]) → [tiles, depth, columns], zeros in the rest."""
    return _tiled(weight.reshape(-1, geometry.filters), geometry.groups, columns)


def _tiled(matrix: NDArray[np.float32], groups: int, columns: int) -> NDArray[np.float32]:
    """[K, F] → [tiles, K, columns]; every group starts a tile."""
    depth, filters = matrix.shape[0], matrix.shape[1] // groups
    tiles = -(-filters // columns)
    full = np.zeros((depth, groups, tiles * columns), np.float32)
    full[..., :filters] = matrix.reshape(depth, groups, filters)
    return np.ascontiguousarray(full.reshape(depth, groups * tiles, columns).transpose(1, 0, 2))
