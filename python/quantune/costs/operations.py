"""The f32 operations of a shape, as ingress would leave them."""

from __future__ import annotations

import zlib

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, linalg

from quantune.costs.shapes import BOUNDARIES, Shape
from quantune.ir import build


def argument_shapes(shape: Shape) -> list[list[int]]:
    """Of every input: the source, then the second operand of an addition."""
    source = [1, shape.channels] if shape.kind == "linear" else [1, *shape.size, shape.channels]
    return [source, result_shape(shape)] if shape.residual or shape.kind == "add" else [source]


def result_shape(shape: Shape) -> list[int]:
    return [1, shape.filters] if shape.kind == "linear" else [1, *shape.out, shape.filters]


def add_layer(shape: Shape, inputs: list[ir.Value]) -> ir.Value:
    """The operation with bias, residual addition and ReLU, at the current insertion point."""
    if shape.kind in BOUNDARIES:
        return inputs[0]
    match shape.kind:
        case "add":
            return _relu(_sum(inputs))
        case "max_pool":
            return _pool(shape, inputs[0], -np.inf)
        case "avg_pool":
            return _mean(_pool(shape, inputs[0], 0.0), shape.kernel[0] * shape.kernel[1])
    value = _contraction(shape, inputs[0])
    bias = build.constant(np.linspace(-1, 1, shape.filters, dtype=np.float32))
    value = _sum([value, bias])
    return _relu(_sum([value, *inputs[1:]]) if shape.residual else value)


def _contraction(shape: Shape, source: ir.Value) -> ir.Value:
    init = build.filled(0.0, result_shape(shape), build.f32())
    if shape.kind == "linear":
        return linalg.matmul(source, _weight(shape, (shape.channels, shape.filters)), outs=[init])
    steps = {"strides": list(shape.strides), "dilations": list(shape.dilations)}
    if shape.kind == "depthwise_conv2d":
        weight = _weight(shape, (*shape.kernel, shape.channels))
        return linalg.depthwise_conv_2d_nhwc_hwc(source, weight, outs=[init], **steps)
    weight = _weight(shape, (*shape.kernel, shape.channels, shape.filters))
    return linalg.conv_2d_nhwc_hwcf(source, weight, outs=[init], **steps)


def _weight(shape: Shape, dims: tuple[int, ...]) -> ir.Value:
    """Normally distributed, like trained weights: how long 16-bit sums are safe depends on it."""
    random = np.random.default_rng(zlib.crc32(shape.key.encode()))
    return build.constant(random.standard_normal(dims, dtype=np.float32))


def _pool(shape: Shape, source: ir.Value, start: float) -> ir.Value:
    window = build.empty(shape.kernel, build.f32())
    init = build.filled(start, result_shape(shape), build.f32())
    make = linalg.pooling_nhwc_sum if start == 0 else linalg.pooling_nhwc_max
    steps = {"strides": list(shape.strides), "dilations": list(shape.dilations)}
    return make(source, window, outs=[init], **steps)


def _mean(total: ir.Value, count: int) -> ir.Value:
    number = build.scalar(float(count), build.f32())
    return build.elementwise([total], build.f32(), lambda x: arith.DivFOp(x, number).result)


def _sum(terms: list[ir.Value]) -> ir.Value:
    return build.elementwise(terms, build.f32(), lambda a, b: arith.AddFOp(a, b).result)


def _relu(value: ir.Value) -> ir.Value:
    zero = build.scalar(0.0, build.f32())
    return build.elementwise([value], build.f32(), lambda x: arith.MaximumFOp(x, zero).result)
