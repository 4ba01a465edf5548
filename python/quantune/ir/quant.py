"""MLIR's `quant` dialect: types that say scale and zero point, casts between them, reals and storage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from iree.compiler import ir

from quantune.ir import build, values
from quantune.plan.schema import Quantization

QUANTIZE, DEQUANTIZE, STORAGE = "quant.qcast", "quant.dcast", "quant.scast"

PRECISION = "quantune.precision"
"""On every operation of a layer: "integer" or "float"."""
OUTPUT_TYPE = "quantune.output_type"
"""On a layer's last operation and on function arguments: the quantized element type of the value."""
WEIGHT_TYPE = "quantune.weight_type"
"""On an integer contraction: the quantized element type of its weights."""


def activation_type(quantization: Quantization) -> ir.Type:
    """`!quant.uniform<u8:f32, 0.1:12>`; fewer bits narrow the storage range: `u8<0:127>`."""
    limits = "" if quantization.bits == 8 else f"<0:{quantization.maximum}>"
    return ir.Type.parse(
        f"!quant.uniform<u8{limits}:f32, {quantization.scale:.6e}:{quantization.zero_point}>"
    )


def weight_type(bits: int, axis: int, scales: Sequence[float]) -> ir.Type:
    """Symmetric, per output channel: `!quant.uniform<i8<-63:63>:f32:3, {0.1, 0.2}>`."""
    limit = (1 << (bits - 1)) - 1
    items = ",".join(f"{scale:.6e}" for scale in scales)
    return ir.Type.parse(f"!quant.uniform<i8<-{limit}:{limit}>:f32:{axis}, {{{items}}}>")


def activation_quantization(kind: ir.Type) -> Quantization:
    """The Quantization that `activation_type` wrote."""
    found = re.fullmatch(r"!quant\.uniform<u8(?:<0:(\d+)>)?:f32, ([^:>]+?)(?::(\d+))?>", str(kind))
    if found is None:
        raise ValueError(f"not a per-tensor activation type: {kind}")
    return Quantization(int(found[1] or 255).bit_length(), float(found[2]), int(found[3] or 0))


def weight_quantization(kind: ir.Type) -> tuple[int, list[float]]:
    """(bits, scales) that `weight_type` wrote."""
    found = re.fullmatch(r"!quant\.uniform<i8<-(\d+):\d+>:f32:\d+, \{([^}]*)\}>", str(kind))
    if found is None:
        raise ValueError(f"not a per-channel weight type: {kind}")
    return int(found[1]).bit_length() + 1, [float(item.split(":")[0]) for item in found[2].split(",")]


def quantize(value: ir.Value, element: ir.Type) -> ir.Value:
    """Reals to quantized values."""
    return _cast(QUANTIZE, value, element)


def dequantize(value: ir.Value) -> ir.Value:
    """Quantized values to reals."""
    return _cast(DEQUANTIZE, value, build.f32())


def storage(value: ir.Value) -> ir.Value:
    """The i8 that a quantized value is stored as; sees through `from_storage`, so that patterns match."""
    op = values.defining(value)
    if op is not None and op.name == STORAGE:
        return op.operands[0]
    return _cast(STORAGE, value, build.integer(8))


def from_storage(value: ir.Value, element: ir.Type) -> ir.Value:
    """i8 seen as quantized values."""
    return _cast(STORAGE, value, element)


def quantized_source(value: ir.Value) -> ir.Value | None:
    """The quantized value behind a dequantize, or None."""
    op = values.defining(value)
    return op.operands[0] if op is not None and op.name == DEQUANTIZE else None


def precision_of(op: ir.Operation) -> str:
    """The precision `annotate-precision` gave to the operation's layer; "float" without one."""
    return str(op.attributes[PRECISION].value) if PRECISION in op.attributes else "float"


def _cast(name: str, value: ir.Value, element: ir.Type) -> ir.Value:
    kind = build.tensor_type(values.shape(value), element)
    return ir.Operation.create(name, results=[kind], operands=[value]).result
