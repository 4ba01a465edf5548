"""The constants of moving channels: copies into a part of a larger tensor, and shuffles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.params import Blob
from quantune.passes.ukernels.workgroups import WORKGROUPS


@dataclass(frozen=True)
class Runs:
    """A pixel of the result: the bytes of runs of the input's pixel, dealt out in turn.

    Attributes:
        starts: where each run begins in a pixel.
        length: bytes of each.
    """

    starts: tuple[int, ...]
    length: int


def pack_move(height: int, width: int, runs: Runs, where: Placement) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y) for images of this size in pixels."""
    blob, block = Blob("move"), -(-height // WORKGROUPS)
    header: dict[str, int | float] = {
        "height": height,
        "width": width,
        "runs": len(runs.starts),
        "length": runs.length,
        "in_offset": where.input.offset,
        "in_step_x": where.input.step_x,
        "in_step_y": where.input.step_y,
        "block_height": block,
        "starts_offset": blob.add(np.asarray(runs.starts, "<i4").tobytes()),
    }
    header |= where.result_fields
    return blob.finish(header), (-(-height // block), 1)
