"""An f32 depthwise convolution's constants as the one blob its kernel reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Image, Placement
from quantune.passes.ukernels.pack_fconv import ELEMENT, Finish, define
from quantune.passes.ukernels.params import Blob
from quantune.passes.ukernels.workgroups import WORKGROUPS, Block, across


def pack_fdepthwise(
    isa: str,
    geometry: Geometry,
    weight: NDArray[np.float32],
    finish: Finish,
    placement: Placement | None = None,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y).

    isa: the folder whose kernel reads it. weight: HWC. placement: by default dense tensors; images count in
    bytes.
    """
    places = _places(geometry.channels, define(isa, "fdepthwise", "LANES"))
    where = placement or geometry.dense(ELEMENT, ELEMENT if finish.residual else None, ELEMENT)
    taps = _taps(geometry, where.input)
    blob = Blob("fdepthwise")
    taps_offset = blob.add(taps.astype("<i4").tobytes())
    bias_offset = blob.add(_blocks(finish.biases(geometry.channels)[None], places).tobytes())
    weight_offset = blob.add(_blocks(weight.reshape(len(taps), -1), places).tobytes())
    rows, blocks = _shares(geometry.out_height, len(places))
    header: dict[str, int | float] = {
        "height": geometry.out_height,
        "width": geometry.out_width,
        "channels": geometry.channels,
        "in_offset": where.input.offset,
        "in_step_x": geometry.strides[1] * where.input.step_x,
        "in_step_y": geometry.strides[0] * where.input.step_y,
        "taps": len(taps),
        "blocks": len(places),
        "block_height": rows,
        "block_channels": blocks,
        "taps_offset": taps_offset,
        "bias_offset": bias_offset,
        "weight_offset": weight_offset,
    }
    header |= where.fields | finish.bounds
    return blob.finish(header), (-(-geometry.out_height // rows), -(-len(places) // blocks))


def _shares(height: int, blocks: int) -> Block:
    """(rows, blocks of channels) of a workgroup: rows first, as the convolutions before share theirs.

    A thread then finds more of what it reads in the caches of its own core.
    """
    rows = -(-height // WORKGROUPS)
    return rows, 2 * -(-blocks // 2 // across(height, rows))


def _places(channels: int, lanes: int) -> NDArray[np.int64]:
    """[blocks, lanes]: the channel at each place, `channels` where there is none."""
    starts = np.minimum(np.arange(0, channels, lanes), max(channels - lanes, 0))
    return np.minimum(starts[:, None] + np.arange(lanes), channels)


def _taps(geometry: Geometry, image: Image) -> NDArray[np.int64]:
    """Bytes from a window's first tap, row by row."""
    rows = np.arange(geometry.kernel[0]) * geometry.dilations[0] * image.step_y
    columns = np.arange(geometry.kernel[1]) * geometry.dilations[1] * image.step_x
    return np.asarray((rows[:, None] + columns).ravel(), np.int64)


def _blocks(matrix: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """[taps, channels] → [blocks, taps, lanes], zeros where there is no channel."""
    filled = np.pad(matrix, ((0, 0), (0, 1))).astype("<f4", copy=False)
    return np.ascontiguousarray(filled[:, places].transpose(1, 0, 2))
