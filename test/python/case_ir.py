"""A float module of small independent layers, as the float passes would leave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import arith, func, linalg

from cases import WINDOWED, Case, weights
from quantune.ir import build, grouped, values


def add_function(module: ir.Module, cases: Sequence[Case]) -> list[int]:
    """Adds @main, in which case i is the layer `g<i>`; returns how many arguments each takes."""
    shapes = [_argument_shapes(case) for case in cases]
    kinds = [build.tensor_type(dims, build.f32()) for group in shapes for dims in group]
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("main", (kinds, []))
    block = function.add_entry_block()
    arguments = iter(block.arguments)
    with ir.InsertionPoint(block):
        results = []
        for index, (case, group) in enumerate(zip(cases, shapes, strict=True)):
            with ir.Location.file(f"torch:g{index}|groups.py", 1, 0):
                result = _layer(case, [next(arguments) for _ in group])
                if case.stored:  # a reshape in integers reads the stored form
                    result = build.reshape(result, [int(np.prod(values.shape(result)))])
                results.append(result)
        func.ReturnOp(results)
    function.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(kinds, [r.type for r in results])
    )
    return [len(group) for group in shapes]


def _argument_shapes(case: Case) -> list[tuple[int, ...]]:
    if case.kind == "concat":
        return [case.shape, (*case.shape[:-1], case.filters)]
    if case.kind == "add":
        return [case.shape, case.shape]
    if case.residual == "none":
        return [case.shape]
    out = tuple(
        (side + sum(pad) - dilation * (k - 1) - 1) // stride + 1
        for side, pad, k, stride, dilation in zip(
            case.size, case.padding, case.kernel, case.strides, case.dilations, strict=True
        )
    )
    channels = case.channels if case.kind == "depthwise_conv2d" else case.filters
    return [case.shape, (1, channels) if case.kind == "linear" else (1, *out, channels)]


def _layer(case: Case, inputs: list[ir.Value]) -> ir.Value:
    x = _padded(case, inputs[0])
    match case.kind:
        case "conv2d" | "depthwise_conv2d" | "linear":
            return _clamped(case, _contraction(case, x, inputs[1:]))
        case "avg_pool":
            return _mean(_pool(case, x, linalg.pooling_nhwc_sum, 0.0), case.kernel[0] * case.kernel[1])
        case "global_avg_pool":
            maps = [build.projection(4, [0, 1, 2, 3]), build.projection(4, [0, 3])]
            init = build.filled(0.0, [1, case.channels], build.f32())
            kinds = ["parallel", "reduction", "reduction", "parallel"]
            total = build.generic([x], init, maps, lambda e, acc: arith.AddFOp(e, acc).result, kinds)
            return _mean(total, case.size[0] * case.size[1])
        case "max_pool":
            return _pool(case, x, linalg.pooling_nhwc_max, -np.inf)
        case "add":
            total = build.elementwise(inputs, build.f32(), lambda a, b: arith.AddFOp(a, b).result)
            return _clamped(case, total)
        case "concat":
            return build.concat(inputs, 3)
        case "clamp":
            return _clamped(
                replace(case, clamp=case.clamp if np.isfinite(case.clamp).any() else (0.0, np.inf)), x
            )
    raise AssertionError(case.kind)


def _padded(case: Case, x: ir.Value) -> ir.Value:
    if case.kind not in WINDOWED or not np.any(case.padding):
        return x
    filler = build.scalar(-np.inf if case.kind == "max_pool" else 0.0, build.f32())
    (top, bottom), (left, right) = case.padding
    return build.pad(x, [0, top, left, 0], [0, bottom, right, 0], filler)


def _contraction(case: Case, x: ir.Value, residual: list[ir.Value]) -> ir.Value:
    weight = build.constant(weights(case))
    steps = {"strides": list(case.strides), "dilations": list(case.dilations)}
    dims = [1, case.filters]
    if case.kind != "linear":
        sides = zip(values.shape(x)[1:3], case.kernel, case.strides, case.dilations, strict=True)
        dims = [1, *((side - d * (k - 1) - 1) // s + 1 for side, k, s, d in sides), case.filters]
    if case.kind == "depthwise_conv2d":
        dims[-1] = case.channels
    init = build.filled(0.0, dims, build.f32())
    if case.kind == "linear":
        value = linalg.matmul(x, weight, outs=[init])
    elif case.kind == "conv2d":
        value = _convolution(case, x, weight, init)
    else:
        value = linalg.depthwise_conv_2d_nhwc_hwc(x, weight, outs=[init], **steps)
    if case.bias:
        bias = np.rint(case.random().normal(size=dims[-1]) * 5).astype(np.float32)
        value = build.elementwise(
            [value, build.constant(bias)], build.f32(), lambda a, b: arith.AddFOp(a, b).result
        )
    for other in residual:
        value = build.elementwise([value, other], build.f32(), lambda a, b: arith.AddFOp(a, b).result)
    return value


def _convolution(case: Case, *operands: ir.Value) -> ir.Value:
    if case.groups > 1:
        return grouped.convolution(operands, case.groups, case.strides, case.dilations)
    steps = {"strides": list(case.strides), "dilations": list(case.dilations)}
    return linalg.conv_2d_nhwc_hwcf(*operands[:2], outs=[operands[2]], **steps)


def _pool(case: Case, x: ir.Value, make: Any, start: float) -> ir.Value:
    sides = zip(values.shape(x)[1:3], case.kernel, case.strides, case.dilations, strict=True)
    dims = [1, *((side - d * (k - 1) - 1) // s + 1 for side, k, s, d in sides), case.channels]
    window, init = build.empty(case.kernel, build.f32()), build.filled(start, dims, build.f32())
    return make(x, window, outs=[init], strides=list(case.strides), dilations=list(case.dilations))


def _mean(total: ir.Value, count: int) -> ir.Value:
    number = build.scalar(float(count), build.f32())
    return build.elementwise([total], build.f32(), lambda x: arith.DivFOp(x, number).result)


def _clamped(case: Case, value: ir.Value) -> ir.Value:
    low, high = case.clamp
    if np.isfinite(low):
        bound = build.scalar(low, build.f32())
        value = build.elementwise([value], build.f32(), lambda x: arith.MaximumFOp(x, bound).result)
    if np.isfinite(high):
        limit = build.scalar(high, build.f32())
        value = build.elementwise([value], build.f32(), lambda x: arith.MinimumFOp(x, limit).result)
    return value
