"""The constants of pooling. An average is a depthwise convolution whose weights are all 1."""

from __future__ import annotations

import numpy as np

from quantune.numerics.epilogue import Epilogue
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_depthwise import pack_depthwise
from quantune.passes.ukernels.params import Blob
from quantune.passes.ukernels.workgroups import WORKGROUPS


def pack_average(
    geometry: Geometry, epilogue: Epilogue, isa: str, largest: int, placement: Placement | None = None
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y) for qdepthwise; largest: the greatest stored activation."""
    ones = np.ones((*geometry.kernel, geometry.channels), np.int8)
    return pack_depthwise(geometry, ones, epilogue, isa, largest, placement)


def pack_max_pool(
    geometry: Geometry, element: int, placement: Placement | None = None, workgroups: int = WORKGROUPS
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y) for qmaxpool and fmaxpool.

    element: the bytes of a value, 1 or 4. placement: by default dense tensors. workgroups: about so many.
    """
    where = placement or geometry.dense(element, in_bytes=element)
    block = -(-geometry.out_height // workgroups)
    header: dict[str, int | float] = {
        "height": geometry.out_height,
        "width": geometry.out_width,
        "pixel_bytes": geometry.channels * element,
        "in_offset": where.input.offset,
        "in_step_x": geometry.strides[1] * where.input.step_x,
        "in_step_y": geometry.strides[0] * where.input.step_y,
        "window_height": geometry.kernel[0],
        "window_width": geometry.kernel[1],
        "column_step": geometry.dilations[1] * where.input.step_x,
        "row_step": geometry.dilations[0] * where.input.step_y,
        "block_height": block,
    }
    header |= where.result_fields
    return Blob("maxpool").finish(header), (-(-geometry.out_height // block), 1)
