"""The constants of an f32 convolution whose results its kernel pools at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Image, Placement, dense
from quantune.passes.ukernels.pack_fconv import ELEMENT, MOST_ROWS, Finish, pack_fconv
from quantune.passes.ukernels.pack_pool import pack_max_pool
from quantune.passes.ukernels.params import Blob
from quantune.passes.ukernels.workgroups import WORKGROUPS

WORK = 16_000_000
"""Multiply-adds of a workgroup, about: the rows that neighbouring windows share are computed in both."""
MOST_WORKGROUPS = 16
"""Each has working memory of its own."""


@dataclass(frozen=True)
class Pooling:
    """A maximum pool of a convolution's result.

    Attributes:
        geometry: of the pool, over the result with its padding of -inf.
        top, left: pixels of that padding.
    """

    geometry: Geometry
    top: int = 0
    left: int = 0

    @property
    def ring_bytes(self) -> int:
        """Of the rows that a window sees, which a workgroup keeps."""
        return self.geometry.kernel[0] * self.geometry.width * self.geometry.channels * ELEMENT

    def fits(self, width: int) -> bool:
        """Whether the kernel can do it for convolutions with results of so many pixels a row."""
        return width <= MOST_ROWS and self.geometry.dilations[0] == 1


def pack_fconv_pooled(
    isa: str,
    geometry: Geometry,
    weight: NDArray[np.float32],
    finish: Finish,
    pooling: Pooling,
    where: Placement,
) -> tuple[bytes, tuple[int, int]]:
    """(blob, workgroups x and y); the arguments are pack_fconv's, but `where.output` is the pool's result.

    The kernel needs `pooling.ring_bytes` of working memory for each workgroup.
    """
    assert pooling.fits(geometry.out_width) and not finish.residual
    pool = pooling.geometry
    ring = dense(pool.width, pool.channels * ELEMENT)
    conv, _ = pack_fconv(isa, geometry, weight, finish, Placement(where.input, Image(0, 0, 0)))
    shares = -(-weight.size * geometry.rows // WORK)
    shares = min(MOST_WORKGROUPS, max(WORKGROUPS, shares))
    pooled, workgroups = pack_max_pool(pool, ELEMENT, replace(where, input=ring), shares)
    blob = Blob("fconv_pooled")
    header: dict[str, int | float] = {
        "top": pooling.top,
        "left": pooling.left,
        "width": pool.width,
        "ring_bytes": pooling.ring_bytes,
        "conv_offset": blob.add(conv),
        "pool_offset": blob.add(pooled),
    }
    return blob.finish(header), workgroups
