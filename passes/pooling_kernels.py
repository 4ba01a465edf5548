"""Requests for the kernels of pooling layers, on behalf of select-kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from iree.compiler import ir

from quantune.ir import build, match, values
from quantune.numerics.epilogue import average_epilogue
from quantune.passes.image_views import element_bytes
from quantune.passes.integer_group import IntegerGroup
from quantune.passes.kernel_dispatch import Kernels
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack_pool import pack_average, pack_max_pool

MAXIMUM = "linalg.pooling_nhwc_max_unsigned"
FLOAT_MAXIMUM = "linalg.pooling_nhwc_max"
AVERAGE = "linalg.pooling_nhwc_sum"


def is_average(anchor: ir.Operation) -> bool:
    return anchor.name == AVERAGE or match.spatial_sum(anchor) is not None


def average(name: str, group: IntegerGroup, kernels: Kernels) -> str:
    """Requests qdepthwise for an average pool; returns what was chosen and why."""
    isa = kernels.target.isa("qdepthwise")
    if isa is None:
        return "generated code: no kernel for this target"
    stored, source = group.source(group.anchor.operands[0])
    geometry = pool_geometry(group.anchor)
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
    return _maximum(name, "qmaxpool", group.anchor, group.anchor.operands[0], kernels)


def float_maximum(name: str, pool: ir.Operation, kernels: Kernels) -> str:
    """The same with fmaxpool for f32.

    No byte fills a frame with -inf. Where no value is negative, 0 does as well: a padding of 0 needs no copy.
    """
    if not match.is_splat(pool.operands[2], -math.inf):
        return "generated code: its maximum does not start from -inf"
    image, pad = pool.operands[0], values.defining(pool.operands[0])
    padding = None if pad is None else match.padding_of(pad)
    if pad is not None and padding is not None and padding[2] == -math.inf:
        source = pad.operands[0]
        if _never_negative(source, kernels) and meets_image(pool, values.shape(source), padding[0]):
            image = build.pad(source, padding[0], padding[1], build.scalar(0.0, build.f32()))
    return _maximum(name, "fmaxpool", pool, image, kernels)


def _maximum(name: str, family: str, pool: ir.Operation, image: ir.Value, kernels: Kernels) -> str:
    isa = kernels.target.isa(family)
    if isa is None:
        return "generated code: no kernel for this target"
    geometry = pool_geometry(pool)
    value = pool.results[0]
    element = element_bytes(value.type)

    def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
        return pack_max_pool(geometry, element, where)

    never_negative = _never_negative(image, kernels)
    result = kernels.request(name, family, image, None, value.type, pack, never_negative=never_negative)
    value.replace_all_uses_with(result)
    pool.erase()
    return f"kernel {family} for {isa}"


def _never_negative(value: ir.Value, kernels: Kernels) -> bool:
    """Whether kernels make it and clamp it so."""
    op = values.defining(value)
    if op is not None and op.name == "tensor.concat":
        return all(_never_negative(part, kernels) for part in op.operands)
    padding = None if op is None else match.padding_of(op)
    if op is not None and padding is not None:
        return padding[2] >= 0 and _never_negative(op.operands[0], kernels)
    return any(call.result == value and call.never_negative for call in kernels.calls)


def meets_image(pool: ir.Operation, dims: Sequence[int], low: Sequence[int]) -> bool:
    """Whether every window has a pixel of the image [1, H, W, C] that lies behind `low` pixels of padding."""
    geometry = pool_geometry(pool)
    out = (geometry.out_height, geometry.out_width)
    for axis in (0, 1):
        first = geometry.strides[axis] * np.arange(out[axis])[:, None] - low[1 + axis]
        taps = first + geometry.dilations[axis] * np.arange(geometry.kernel[axis])
        if not ((taps >= 0) & (taps < dims[1 + axis])).any(axis=1).all():
            return False
    return True


def pool_geometry(pool: ir.Operation) -> Geometry:
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
