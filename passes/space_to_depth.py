"""space-to-depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from iree.compiler import ir
from iree.compiler.dialects import linalg
from numpy.typing import NDArray

from quantune.errors import UnsupportedError
from quantune.ir import build, match, quant, values
from quantune.passes.base import Pass, Report, tidy
from quantune.passes.kernel_dispatch import KernelTarget

MOST_CHANNELS = 4
SQUARES = [0, 1, 3, 2, 4, 5]
"""Of an image whose height and width are split: the permutation that puts the squares together."""
GAINS = ("amx", "avx2")
"""Whose `qconv` is faster so: short runs leave most of an instruction idle, or force flushes."""


@dataclass(frozen=True)
class SpaceToDepth(Pass):
    """Gives a first convolution of stride 2 four times the channels: squares of two by two become pixels.

    The sums are the same, their operands lie in longer runs of memory: a 7x7 window over 3 channels is 7 runs
    of 21 bytes, as a 4x4 window over 12 channels it is 4 of 48 (of which the weights of the 8th row and
    column are 0). Where a kernel quantizes the input, it writes the squares at once.

    Options:
        target: the processor (on the command line its name); only those whose kernels gain are obliged.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf {strides = 2} ins(%x, %w : tensor<1x230x230x3xf32>, …)
    After:
        %a = tensor.expand_shape %storage into tensor<1x115x2x115x2x3xi8>
        %b = linalg.transpose ins(%a) permutation = [0, 1, 3, 2, 4, 5]
        %c = tensor.collapse_shape %b into tensor<1x115x115x12xi8>
        %1 = linalg.conv_2d_nhwc_hwcf {strides = 1} ins(%x', %w' : tensor<1x115x115x12xf32>, …)

    Left alone: float layers, more than 4 channels, other strides, dilations.
    """

    target: KernelTarget = field(default=KernelTarget(), metadata={"help": "name of a target"})

    def apply(self, module: ir.Module) -> Report:
        converted = []
        if self.target.isa("qconv") in GAINS:
            for op in values.operations(values.main_function(module)):
                if op.name == match.CONVOLUTION and _gains(op):
                    with ir.InsertionPoint(op), op.location:
                        op.results[0].replace_all_uses_with(_converted(op))
                    converted.append(str(values.layer_of(op)))
                    op.erase()
        tidy(module)
        return {"converted": converted}


def _gains(op: ir.Operation) -> bool:
    if quant.precision_of(op) != "integer" or values.window_steps(op) != ([2, 2], [1, 1]):
        return False
    kernel_h, kernel_w, channels, _ = values.shape(op.operands[1])
    quantized = [quant.quantized_source(operand) is not None for operand in op.operands[:2]]
    return all(quantized) and channels <= MOST_CHANNELS and kernel_h > 1 and kernel_w > 1


def _converted(op: ir.Operation) -> ir.Value:
    image = quant.quantized_source(op.operands[0])
    weight = quant.quantized_source(op.operands[1])
    assert image is not None and weight is not None
    kind = values.element_type(image)
    squares = quant.from_storage(_squares(_even(quant.storage(image), kind)), kind)
    folded = quant.quantize(build.constant(_folded(_constant(weight))), values.element_type(weight))
    result = linalg.conv_2d_nhwc_hwcf(
        quant.dequantize(squares),
        quant.dequantize(folded),
        outs=[op.operands[2]],
        strides=[1, 1],
        dilations=[1, 1],
    )
    for name in op.attributes:
        if name.startswith("quantune."):
            result.owner.attributes[name] = op.attributes[name]
    return result


def _constant(quantized: ir.Value) -> NDArray[Any]:
    """The weights behind a quantize."""
    cast = values.defining(quantized)
    found = None if cast is None else values.constant(cast.operands[0])
    if found is None:
        raise UnsupportedError(f"{quantized} is no quantized constant; run insert-qdq")
    return found


def _even(stored: ir.Value, kind: ir.Type) -> ir.Value:
    """[1, H, W, C] with H and W even: a row and a column more where they are odd."""
    odd = [0, *(size % 2 for size in values.shape(stored)[1:3]), 0]
    if not any(odd):
        return stored
    op = values.defining(stored)
    padding = None if op is None else match.padding_of(op)
    if op is not None and padding is not None:
        low, high, filler = padding
        return build.pad(
            op.operands[0],
            low,
            [a + b for a, b in zip(high, odd, strict=True)],
            build.scalar(filler, build.integer(8)),
        )
    zero_point = np.uint8(quant.activation_quantization(kind).zero_point).astype(np.int8)
    return build.pad(stored, [0] * 4, odd, build.scalar(int(zero_point), build.integer(8)))


def _squares(stored: ir.Value) -> ir.Value:
    """[1, H, W, C] → [1, H / 2, W / 2, 2 * 2 * C]."""
    _, height, width, channels = values.shape(stored)
    split = build.expand(stored, [[0], [1, 2], [3, 4], [5]], [1, height // 2, 2, width // 2, 2, channels])
    return build.collapse(build.transpose(split, SQUARES), [[0], [1], [2], [3, 4, 5]])


def _folded(weight: NDArray[Any]) -> NDArray[Any]:
    """[KH, KW, C, F] → [KH / 2, KW / 2, 2 * 2 * C, F], with zeros for a row or column more."""
    height, width, channels, filters = weight.shape
    even = np.pad(weight, [(0, height % 2), (0, width % 2), (0, 0), (0, 0)])
    split = even.reshape(-(-height // 2), 2, -(-width // 2), 2, channels, filters)
    return np.ascontiguousarray(
        split.transpose(0, 2, 1, 3, 4, 5).reshape(split.shape[0], split.shape[2], -1, filters)
    )
