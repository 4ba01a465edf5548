"""One layer on a batch: in f32, and in stored integers (u8) with the arithmetic of `quantune.numerics`.

Sums are taken by oneDNN in 8 bits where the processor multiplies those exactly, else in f32, which is exact
below 2**24.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from quantune import numerics
from quantune.errors import UnsupportedError
from quantune.graph.model import Layer
from quantune.plan.schema import LayerPlan, Quantization
from quantune.replica.arithmetic import Fused, accumulation, contraction, padded

Step = Callable[[Sequence[Tensor]], Tensor]
"""Values [N, ...] of the layer's inputs, NHWC for images → its value."""


def float_step(layer: Layer) -> Step:
    """The layer in f32. Raises UnsupportedError for an opaque layer."""
    low, high = layer.clamp
    body = _float_body(layer)

    def step(inputs: Sequence[Tensor]) -> Tensor:
        y = body(inputs)
        y = y if np.isinf(low) and np.isinf(high) else y.clamp(float(low), float(high))
        return _shaped(y, layer)

    return step


def integer_step(
    layer: Layer,
    choice: LayerPlan,
    sources: Sequence[Quantization | None],
    output: Quantization | None,
) -> Step:
    """The layer on stored values; delivers stored values, or real ones where `output` is None.

    sources: of each input; None for a residual in f32.
    """
    data = [q for q in sources[: len(layer.data_inputs)] if q is not None]
    if layer.is_transparent:
        return _transparent(layer, data, output)
    if layer.kind == "add":
        add = Fused(numerics.add_epilogue(data[0], data[1], output, layer.clamp))
        return lambda inputs: _shaped(add(inputs[0], inputs[1]), layer)
    if layer.kind == "avg_pool":
        return _average(layer, data[0], output)
    if not layer.is_contraction:
        raise UnsupportedError(
            f"{layer.name} ({layer.kind}) has no integer form; set it to float in the plan"
        )
    weight, scales = numerics.layer_weights(layer, choice)
    residual = sources[-1] if layer.residual else None
    fused = Fused(numerics.contraction_epilogue(layer, weight, scales, data[0], residual, output))
    # sums of x - z, while the epilogue's constants are for sums of x
    lacking = weight.astype(np.int64).sum(axis=tuple(range(weight.ndim - 1))) * data[0].zero_point
    accumulate = accumulation(layer, weight, data[0].zero_point, lacking)

    def step(inputs: Sequence[Tensor]) -> Tensor:
        acc = accumulate(inputs[0])
        return _shaped(fused(acc, inputs[-1].reshape(acc.shape) if layer.residual else None), layer)

    return step


def quantize(x: Tensor, quantization: Quantization) -> Tensor:
    """Real values → stored ones."""
    return Fused(numerics.quantize_epilogue(quantization))(x)


def dequantize(q: Tensor, quantization: Quantization) -> Tensor:
    """Stored values → real ones."""
    return (q.float() - float(quantization.zero_point)) * float(np.float32(quantization.scale))


def _float_body(layer: Layer) -> Step:
    if layer.is_contraction:
        assert layer.weight is not None
        contract = contraction(layer, layer.weight, layer.bias)

        def contracted(inputs: Sequence[Tensor]) -> Tensor:
            y = contract(inputs[0])
            return y + inputs[-1].reshape(y.shape) if layer.residual else y

        return contracted
    if layer.kind == "add":
        return lambda inputs: inputs[0] + inputs[1]
    if layer.kind == "avg_pool":
        return lambda inputs: _pool_sum(inputs[0], layer) / _divisor(layer, inputs[0])
    if layer.is_transparent:
        fill = -np.inf if layer.kind == "max_pool" else layer.attributes.get("value", 0.0)
        return lambda inputs: _move(layer, inputs, fill)
    raise UnsupportedError(f"the replica cannot execute {layer.name} ({layer.kind}); run the compiled module")


def _transparent(layer: Layer, sources: Sequence[Quantization], output: Quantization | None) -> Step:
    if layer.kind == "concat" and output is None:
        joined = float_step(layer)
        return lambda inputs: joined([dequantize(x, q) for x, q in zip(inputs, sources, strict=True)])
    target = output or sources[0]
    casts = [None if q == target else Fused(numerics.requantize_epilogue(q, target)) for q in sources]
    fill = 0
    if layer.kind == "pad":
        fill = int(numerics.quantize(layer.attributes.get("value", 0.0), target))
    low, high = numerics.clamp_bounds(layer.clamp, target)

    def step(inputs: Sequence[Tensor]) -> Tensor:
        stored = [x if cast is None else cast(x) for x, cast in zip(inputs, casts, strict=True)]
        result = _shaped(_move(layer, stored, fill), layer).clamp(int(low or 0), int(high or 0))
        return result if output is not None else dequantize(result, target)

    return step


def _average(layer: Layer, source: Quantization, output: Quantization | None) -> Step:
    made: dict[tuple[int, int], Fused] = {}

    def step(inputs: Sequence[Tensor]) -> Tensor:
        kernel = _kernel(layer, inputs[0])
        if kernel not in made:
            divisor = layer.attributes.get("divisor")
            count = kernel[0] * kernel[1]
            made[kernel] = Fused(numerics.average_epilogue(count, source, output, layer.clamp, divisor))
        return _shaped(made[kernel](_pool_sum(inputs[0].float(), layer, source.zero_point)), layer)

    return step


def _move(layer: Layer, inputs: Sequence[Tensor], fill: float) -> Tensor:
    x, facts = inputs[0], layer.attributes
    match layer.kind:
        case "clamp":
            return x
        case "max_pool":
            x = padded(x, layer, fill).permute(0, 3, 1, 2)
            strides = tuple(facts.get("strides", [1, 1]))
            dilations = tuple(facts.get("dilations", [1, 1]))
            kernel = _kernel(layer, x.permute(0, 2, 3, 1))
            # in f32, because torch counts a window's positions in the type of its elements
            pooled = functional.max_pool2d(x.float(), kernel, strides, 0, dilations)
            return pooled.to(x.dtype).permute(0, 2, 3, 1)
        case "concat":
            return torch.cat(list(inputs), dim=facts["axis"])
        case "pad":
            sides = [side for pair in zip(facts["low"], facts["high"], strict=True) for side in pair[::-1]]
            return functional.pad(x, sides[::-1], value=fill)
        case "reshape":
            return x.reshape(x.shape[0], *layer.output_shape[1:])
        case "transpose":
            return x.permute(*facts["permutation"])
        case "slice":
            return x[_slices(facts, x.ndim)]
    raise AssertionError(layer.kind)


def _slices(facts: dict[str, Any], rank: int) -> tuple[slice, ...]:
    """The batch whole."""
    steps = facts.get("strides", [1] * rank)
    parts = list(zip(facts["offsets"], facts["sizes"], steps, strict=True))[1:]
    return (slice(None), *(slice(o, o + (size - 1) * step + 1, step) for o, size, step in parts))


def _pool_sum(x: Tensor, layer: Layer, fill: float = 0.0) -> Tensor:
    x = padded(x, layer, fill)
    strides = tuple(layer.attributes.get("strides", [1, 1]))
    pooled = functional.avg_pool2d(x.permute(0, 3, 1, 2), _kernel(layer, x), strides, divisor_override=1)
    return pooled.permute(0, 2, 3, 1)


def _kernel(layer: Layer, x: Tensor) -> tuple[int, int]:
    """The window of a pool; the whole image where the layer does not say."""
    height, width = layer.attributes.get("kernel") or x.shape[1:3]
    return int(height), int(width)


def _divisor(layer: Layer, x: Tensor) -> float:
    kernel = _kernel(layer, padded(x, layer, 0.0))
    return float(layer.attributes.get("divisor") or kernel[0] * kernel[1])


def _shaped(y: Tensor, layer: Layer) -> Tensor:
    return y.reshape(y.shape[0], *layer.output_shape[1:])
