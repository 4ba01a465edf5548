"""An integer layer on its way down: what its operations hold.

The same, whether generated code or a microkernel computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.errors import UnsupportedError
from quantune.graph.extract import epilogue_facts
from quantune.graph.model import Layer
from quantune.ir import grouped, match, quant, values
from quantune.numerics.epilogue import Epilogue, contraction_epilogue
from quantune.numerics.scales.weights import quantize_weights
from quantune.passes.ukernels.geometry import Geometry
from quantune.plan.schema import Quantization


@dataclass(frozen=True)
class Contraction:
    """A contraction's parts.

    Storage of its input and residual (i8, or f32 for the latter), integer weights, epilogue.
    """

    stored: ir.Value
    source: Quantization
    weight: NDArray[np.int8]
    epilogue: Epilogue
    residual: ir.Value | None


class IntegerGroup:
    """A layer's operations with what the lowering asks about them."""

    def __init__(self, ops: list[ir.Operation], anchor: ir.Operation) -> None:
        self.ops, self.anchor, self.result = ops, anchor, ops[-1].results[0]
        self.bias, self.residual, self.clamp = epilogue_facts(ops, anchor)
        self.quantize = next((u for u in values.users(self.result) if u.name == quant.QUANTIZE), None)

    @property
    def output(self) -> Quantization | None:
        kind = None if self.quantize is None else values.element_type(self.quantize.results[0])
        return None if kind is None else quant.activation_quantization(kind)

    def source(self, operand: ir.Value) -> tuple[ir.Value, Quantization]:
        """(storage, quantization) of a dequantized operand."""
        quantized = quant.quantized_source(operand)
        if quantized is None:
            raise UnsupportedError(
                f"{values.describe(self.anchor)} is planned integer, but its input is not quantized; "
                "make it float"
            )
        return quant.storage(quantized), quant.activation_quantization(values.element_type(quantized))

    def finish(self, value: ir.Value) -> None:
        """Puts the new result, storage or f32, in the place of the old."""
        if self.quantize is None:
            self.result.replace_all_uses_with(value)
            return
        quantized = self.quantize.results[0]
        quantized.replace_all_uses_with(quant.from_storage(value, values.element_type(quantized)))
        self.quantize.erase()

    def contraction(self) -> Contraction:
        """Raises UnsupportedError when the input or the weights are not quantized."""
        stored, source = self.source(self.anchor.operands[0])
        weight, scales = quantized_weight(self.anchor)
        residual, residual_quantization = None, None
        if (other := residual_value(self.ops, self.anchor)) is not None:
            residual = other
            if quant.quantized_source(other) is not None:
                residual, residual_quantization = self.source(other)
        layer = Layer(
            name=str(values.layer_of(self.anchor)),
            kind="conv2d",
            inputs=(),
            output_shape=(),
            clamp=self.clamp,
            residual=residual is not None,
            bias=self.bias,
        )
        epilogue = contraction_epilogue(layer, weight, scales, source, residual_quantization, self.output)
        return Contraction(stored, source, weight, epilogue, residual)


def quantized_weight(anchor: ir.Operation) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """A contraction's integer weights and scales; raises UnsupportedError when they are not quantized."""
    quantized = quant.quantized_source(anchor.operands[1])
    cast = None if quantized is None else values.defining(quantized)
    constant = None if cast is None else values.constant(cast.operands[0])
    if quantized is None or constant is None:
        raise UnsupportedError(
            f"{values.describe(anchor)} is planned integer, but its weights are not quantized; run insert-qdq"
        )
    bits, scales = quant.weight_quantization(values.element_type(quantized))
    exact = np.asarray(scales)
    return quantize_weights(constant.astype(np.float32, copy=False), exact, bits), exact


def residual_value(ops: list[ir.Operation], anchor: ir.Operation) -> ir.Value | None:
    """What a layer adds to its contraction beside a bias, or None."""
    value = anchor.results[0]
    for op in ops[ops.index(anchor) + 1 :]:
        if match.bias_operand(op, value) is None and (other := match.residual_operand(op, value)) is not None:
            return other
        value = op.results[0]
    return None


def geometry_of(anchor: ir.Operation) -> Geometry:
    """Where a convolution's or fully connected layer's operands lie."""
    out = values.shape(anchor.results[0])
    if anchor.name == match.MATMUL:
        depth, filters = values.shape(anchor.operands[1])
        return Geometry(out[0], 1, depth, (1, 1), (1, 1), (1, 1), out[0], 1, filters)
    _, height, width, channels = values.shape(anchor.operands[0])
    kernel_h, kernel_w = values.shape(anchor.operands[1])[:2]
    strides, dilations = values.window_steps(anchor)
    return Geometry(
        height,
        width,
        channels,
        (kernel_h, kernel_w),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        out[1],
        out[2],
        out[3],
        grouped.groups_of(anchor),
    )
