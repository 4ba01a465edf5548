"""One kernel for an f32 convolution and the maximum pool that alone reads it, for select-kernels.

    %y = @conv(%x)                        %z, %memory = @conv_pooled(%x)
    %p = tensor.pad %y, -inf         →
    %z = @pool(%p)

What a large convolution writes has left the cache when the pool comes to read it. Here a workgroup keeps the
rows that a window sees and pools them at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import match, values
from quantune.passes.float_group import FloatGroup
from quantune.passes.image_views import tensor_bytes
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.pooling_kernels import FLOAT_MAXIMUM, meets_image, pool_geometry
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_fconv_pooled import Pooling, pack_fconv_pooled

LARGE = 512 * 1024
"""Bytes of results: fewer are still in L2 when the pool reads them."""
MOST_WEIGHTS = 1024 * 1024
"""Bytes: all weights pass by for every few rows, so they must stay in L2 ..."""
MOST_MEMORY = 256 * 1024
"""... beside what a workgroup keeps of the results."""


@dataclass(frozen=True)
class Pool:
    """A maximum pool on its way into the kernel before it.

    Attributes:
        layer: its name.
        padding: the operation that pads the pool's image, if any.
        positive: no window sees padding alone, so the pool of what is not negative is not negative.
    """

    layer: str
    op: ir.Operation
    padding: ir.Operation | None
    pooling: Pooling
    positive: bool


def find_pool(group: FloatGroup, geometry: Geometry) -> Pool | None:
    """The pool that alone reads the convolution's result, if one kernel for both is the better way."""
    if group.residual is not None or tensor_bytes(group.result.type) < LARGE:
        return None
    pool = _read_by_pool(group.result)
    if pool is None or group.weight.nbytes > MOST_WEIGHTS or pool.pooling.ring_bytes > MOST_MEMORY:
        return None
    return pool if pool.pooling.fits(geometry.out_width) else None


def _read_by_pool(value: ir.Value) -> Pool | None:
    reader, low, padding = values.single_user(value), [0, 0, 0, 0], None
    if reader is not None and (found := match.padding_of(reader)) is not None:
        if found[2] != -math.inf:
            return None
        low, padding = found[0], reader
        reader = values.single_user(reader.results[0])
    if reader is None or reader.name != FLOAT_MAXIMUM or not match.is_splat(reader.operands[2], -math.inf):
        return None
    positive = padding is None or meets_image(reader, values.shape(value), low)
    return Pool(
        str(values.layer_of(reader)),
        reader,
        padding,
        Pooling(pool_geometry(reader), low[1], low[2]),
        positive,
    )


def request_pooled(
    name: str, group: FloatGroup, geometry: Geometry, pool: Pool, kernels: Kernels, isa: str
) -> None:
    """Requests the kernel in the place of both."""

    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_fconv_pooled(isa, geometry, group.weight, group.finish, pool.pooling, where)

    value = kernels.request(
        name,
        "fconv",
        group.image,
        None,
        pool.op.results[0].type,
        pack,
        never_negative=group.never_negative and pool.positive,
        memory=pool.pooling.ring_bytes,
    )
    pool.op.results[0].replace_all_uses_with(value)
    pool.op.erase()
    if pool.padding is not None:
        pool.padding.erase()
