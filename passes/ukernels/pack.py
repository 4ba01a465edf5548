"""A quantized convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.params import Blob, bounds
from quantune.passes.ukernels.schedule import flush_schedules

TILE = 16  # columns
STEP = 4  # operands a column takes at once
GATHER_BYTES = 12288  # of stack, as in qconv_driver.h
MOST_ROWS = 192
SMALL_PANEL = 24 * 1024  # bytes of weights that stay in L1 beside a few rows
WORKGROUPS = 4  # enough that two threads share the work evenly


@dataclass(frozen=True)
class Geometry:
    """Where a convolution's operands lie in its padded input [1, H, W, C]."""

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    out_height: int
    out_width: int
    filters: int

    @property
    def rows(self) -> int:
        return self.out_height * self.out_width

    @property
    def runs(self) -> tuple[int, int]:
        """(number of runs, bytes of each): a kernel row is one run unless it is dilated."""
        kernel_h, kernel_w = self.kernel
        if kernel_w == 1 or self.dilations[1] == 1:
            return kernel_h, kernel_w * self.channels
        return kernel_h * kernel_w, self.channels

    @property
    def supported(self) -> bool:
        """Whether the drivers can walk it.

        Runs must be evenly spaced: no dilation in width together with several kernel rows; gathered
        operands must fit the stack.
        """
        evenly = self.kernel[0] == 1 or self.kernel[1] == 1 or self.dilations[1] == 1
        return evenly and (not self.gathered or 12 * self.depth <= GATHER_BYTES)

    @property
    def gathered(self) -> bool:
        return self.runs[1] % STEP != 0

    @property
    def depth(self) -> int:
        return -(-self.runs[0] * self.runs[1] // STEP) * STEP


def pack_weights(weight: NDArray[np.int8], depth: int) -> NDArray[np.int8]:
    """HWCF (or KN) → [tiles, depth / 4, 16, 4], zeros in the rest."""
    matrix = weight.reshape(-1, weight.shape[-1])
    tiles = -(-matrix.shape[1] // TILE)
    full = np.zeros((depth, tiles * TILE), np.int8)
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    return np.ascontiguousarray(full.reshape(depth // STEP, STEP, tiles, TILE).transpose(2, 0, 3, 1))


def schedules(packed: NDArray[np.int8], runs: int, largest: int) -> list[bytes] | None:
    """Each tile's flush schedule: per run a 16-bit count and the lengths; None if a step cannot be proved."""
    tiles = [b""] * len(packed)
    for run in np.split(packed.astype(np.int64), runs, axis=1):
        found = flush_schedules(run, largest)
        if found is None:
            return None
        for tile, lengths in enumerate(found):
            tiles[tile] += len(lengths).to_bytes(2, "little") + bytes(lengths)
    return tiles


def pack_conv(
    geometry: Geometry, weight: NDArray[np.int8], epilogue: Epilogue, flushes: list[bytes] | None
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y). `flushes` is what `schedules` found, or None for kernels that need none."""
    packed = pack_weights(weight, geometry.depth)
    tiles, panel = len(packed), packed[0].nbytes
    inner = panel * tiles <= SMALL_PANEL or geometry.gathered
    rows, columns = _blocks(geometry.rows, tiles)
    order = flushes if flushes is not None else [b""] * tiles
    blob = Blob("qconv")
    scale_offset = blob.add(tiled_scales(epilogue, np.arange(tiles) * TILE, geometry.filters))
    starts = blob.end + 4 * tiles + np.cumsum([0, *(len(part) for part in order)])[:-1]
    schedule_offset = blob.add(starts.astype("<i4").tobytes() + b"".join(order))
    weight_offset = blob.add(packed.tobytes())
    stride_h, stride_w = geometry.strides
    run_count, run_bytes = geometry.runs
    step_y = geometry.width * geometry.channels
    beside = geometry.kernel[0] == 1  # the runs of a dilated row lie side by side
    header = {
        "rows": geometry.rows,
        "out_width": geometry.out_width,
        "step_x": stride_w * geometry.channels,
        "step_y": stride_h * step_y,
        "runs": run_count,
        "run_bytes": run_bytes,
        "run_stride": geometry.dilations[1] * geometry.channels if beside else geometry.dilations[0] * step_y,
        "depth": geometry.depth,
        "gathered": int(geometry.gathered),
        "filters": geometry.filters,
        "tiles": tiles,
        "block_rows": rows,
        "block_tiles": columns,
        "tiles_inner": int(inner),
        "schedule_offset": schedule_offset,
        "scale_offset": scale_offset,
        "weight_offset": weight_offset,
    }
    return blob.finish(header | bounds(epilogue)), (-(-geometry.rows // rows), -(-tiles // columns))


def tiled_scales(epilogue: Epilogue, starts: NDArray[np.int64], channels: int) -> bytes:
    """f32 [tiles, 2, 16]: multipliers and offsets of 16 channels from each start, zeros beyond the last."""
    places = starts[:, None] + np.arange(TILE)
    vectors = [
        np.append(np.broadcast_to(v, channels), np.float32(0)) for v in (epilogue.multiplier, epilogue.offset)
    ]
    return np.stack([v[np.minimum(places, channels)] for v in vectors], axis=1).astype(np.float32).tobytes()


def _blocks(rows: int, tiles: int) -> tuple[int, int]:
    """(rows, tiles) of a workgroup.

    Rows are a multiple of 12, so that tiles of 6 and of 12 rows fill; columns are shared where rows are few.
    """
    groups = max(1, -(-rows // MOST_ROWS))
    share = -(-rows // groups)
    block = min(MOST_ROWS, -(-share // 12) * 12)
    groups = -(-rows // block)
    across = 1 if groups >= WORKGROUPS else min(tiles, -(-WORKGROUPS // groups))
    return block, -(-tiles // across)
