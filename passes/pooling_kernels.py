"""Requests for the kernels of pooling layers, on behalf of select-kernels."""

from __future__ import annotations

import math

from iree.compiler import ir

from quantune.ir import build, match, values
from quantune.numerics.epilogue import average_epilogue
from quantune.passes.integer_group import IntegerGroup
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_pool import pack_average, pack_max_pool

MAXIMUM = "linalg.pooling_nhwc_max_unsigned"
AVERAGE = "linalg.pooling_nhwc_sum"


def is_average(anchor: ir.Operation) -> bool:
    return anchor.name == AVERAGE or match.spatial_sum(anchor) is not None


def average(name: str, group: IntegerGroup, kernels: Kernels) -> str:
    """Requests qdepthwise for an average pool; returns what was chosen and why."""
    isa = kernels.target.isa("qdepthwise")
    if isa is None:
        return "generated code: no kernel for this target"
    stored, source = group.source(group.anchor.operands[0])
    geometry = _geometry(group.anchor)
    out = values.shape(group.result)
    if math.prod(out) != geometry.rows * geometry.filters or out[-1] != geometry.filters:
        return "generated code: its result is not channels-last"
    divisor = match.divisor(group.ops[-1]) or 1.0
    count = geometry.kernel[0] * geometry.kernel[1]
    epilogue = average_epilogue(count, source, group.output, group.clamp, divisor)

    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_average(geometry, epilogue, isa, source.maximum, where)

    result = build.tensor_type(out, build.f32() if epilogue.output is None else build.integer(8))
    group.finish(kernels.request(name, "qdepthwise", stored, None, result, pack))
    return f"kernel qdepthwise for {isa}"


def maximum(name: str, group: IntegerGroup, kernels: Kernels) -> str:
    """Requests qmaxpool for a maximum pool of storage; returns what was chosen and why."""
    isa = kernels.target.isa("qmaxpool")
    if isa is None:
        return "generated code: no kernel for this target"
    pool = group.anchor
    geometry = _geometry(pool)

    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_max_pool(geometry, where)

    value = pool.results[0]
    value.replace_all_uses_with(kernels.request(name, "qmaxpool", pool.operands[0], None, value.type, pack))
    pool.erase()
    return f"kernel qmaxpool for {isa}"


def _geometry(pool: ir.Operation) -> Geometry:
    """Of a pooling operation, or of a sum over the whole image."""
    _, height, width, channels = values.shape(pool.operands[0])
    if match.spatial_sum(pool) is not None:
        one = (1, 1)
        return Geometry(height, width, channels, (height, width), one, one, 1, 1, channels)
    window = values.shape(pool.operands[1])
    strides, dilations = values.window_steps(pool)
    _, out_height, out_width, _ = values.shape(pool.results[0])
    return Geometry(
        height,
        width,
        channels,
        (window[0], window[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        out_height,
        out_width,
        channels,
    )
