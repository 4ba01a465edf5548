"""One layer at a time: in f32, and in integers with the semantics of `quantune.numerics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune import numerics
from quantune.errors import QuantuneError, UnsupportedError
from quantune.graph.model import Layer
from quantune.plan.schema import LayerPlan, Quantization
from quantune.reference.windows import contract, move, padded, pool_kernel, pool_sum

Array = NDArray[Any]


def float_layer(layer: Layer, inputs: Sequence[Array]) -> NDArray[np.float32]:
    """f32 in, f32 out. Sums are taken in numpy's order: others are equal within rounding."""
    x = inputs[0]
    if layer.is_contraction:
        assert layer.weight is not None
        y = contract(padded(x, layer, 0.0), layer, layer.weight)
        y = y if layer.bias is None else y + layer.bias
        y = y + inputs[-1] if layer.residual else y
    elif layer.kind == "add":
        y = x + inputs[1]
    elif layer.kind == "avg_pool":
        x = padded(x, layer, 0.0)
        kernel = pool_kernel(layer, x)
        y = pool_sum(x, layer, kernel) / np.float32(layer.attributes.get("divisor", kernel[0] * kernel[1]))
    elif layer.is_transparent:
        fill = -np.inf if layer.kind == "max_pool" else layer.attributes.get("value", 0.0)
        y = move(layer, list(inputs), fill)
    else:
        operation = layer.attributes.get("operation", layer.kind)
        raise UnsupportedError(
            f"the reference cannot execute {layer.name} ({operation}); run the compiled module"
        )
    return (
        np.clip(y, np.float32(layer.clamp[0]), np.float32(layer.clamp[1]))
        .reshape(layer.output_shape)
        .astype(np.float32, copy=False)
    )


def integer_layer(
    layer: Layer,
    choice: LayerPlan,
    inputs: Sequence[Array],
    quantizations: Sequence[Quantization | None],
    output: Quantization | None,
) -> Array:
    """Stored u8 in, u8 out, or f32 where `output` is None. Exact: others agree to the bit.

    Args:
        inputs: u8 arrays; a fused residual may be f32, then its entry of `quantizations` is None.
    """
    sources = [q for q in quantizations[: len(layer.data_inputs)] if q is not None]
    if len(sources) != len(layer.data_inputs):
        raise ValueError(f"{layer.name}: an integer layer needs the quantization of each of its inputs")
    if layer.is_transparent:
        return _transparent(layer, inputs, sources, output)
    if layer.kind == "add":
        a, b = inputs
        result = numerics.add_epilogue(sources[0], sources[1], output, layer.clamp).apply(a, b)
    elif layer.kind == "avg_pool":
        x = padded(inputs[0].astype(np.int32), layer, sources[0].zero_point)
        kernel = pool_kernel(layer, x)
        count, divisor = kernel[0] * kernel[1], layer.attributes.get("divisor")
        epilogue = numerics.average_epilogue(count, sources[0], output, layer.clamp, divisor)
        result = epilogue.apply(pool_sum(x, layer, kernel))
    elif layer.is_contraction:
        weight_q, scales = numerics.layer_weights(layer, choice)
        residual = quantizations[-1] if layer.residual else None
        epilogue = numerics.contraction_epilogue(layer, weight_q, scales, sources[0], residual, output)
        acc = accumulate(layer, weight_q, inputs[0], sources[0])
        result = epilogue.apply(acc, inputs[-1].reshape(acc.shape) if layer.residual else None)
    else:
        raise UnsupportedError(
            f"{layer.name} ({layer.kind}) has no integer form; set it to float in the plan"
        )
    return result.reshape(layer.output_shape)


def accumulate(
    layer: Layer, weight_q: NDArray[np.int8], x_q: Array, source: Quantization
) -> NDArray[np.int32]:
    """The exact i32 accumulator [..., F] over the padded input, whose border holds the zero point.

    Summed in floating point, in a type that holds every partial sum exactly: f32 below 2**24, else f64.
    Raises QuantuneError where an i32 would overflow.
    """
    axes = tuple(range(weight_q.ndim - 1))
    bound = source.maximum * int(np.abs(weight_q.astype(np.int64)).sum(axis=axes).max())
    if bound >= 2**31:
        raise QuantuneError(
            f"{layer.name}: its sums need more than 32 bits; lower its bits or set it to float"
        )
    dtype = np.float32 if bound < 2**24 else np.float64
    x = padded(x_q.astype(dtype), layer, source.zero_point)
    return contract(x, layer, weight_q.astype(dtype)).astype(np.int32)


def _transparent(
    layer: Layer, inputs: Sequence[Array], sources: Sequence[Quantization], output: Quantization | None
) -> Array:
    """Acts on the stored values as they are; delivered in f32 they are dequantized last."""
    if layer.kind == "concat" and output is None:
        # Dequantizing first is the same where the inputs agree, and loses nothing where they do not.
        return float_layer(layer, [numerics.dequantize(x, q) for x, q in zip(inputs, sources, strict=True)])
    target = output or sources[0]
    if layer.kind != "concat" and target != sources[0]:
        raise ValueError(f"{layer.name}: a {layer.kind} keeps the quantization of its input")
    stored = [numerics.requantize(x, source, target) for x, source in zip(inputs, sources, strict=True)]
    # Zero is the least stored value, which is what -inf padding becomes for a maximum.
    fill = 0
    if layer.kind == "pad":
        fill = int(numerics.quantize(layer.attributes.get("value", 0.0), target))
    result = move(layer, stored, fill)
    low, high = numerics.clamp_bounds(layer.clamp, target)
    result = np.clip(result, np.uint8(low or 0), np.uint8(high or 0)).reshape(layer.output_shape)
    return result if output is not None else numerics.dequantize(result, target)
