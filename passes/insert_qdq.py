"""insert-qdq."""

from __future__ import annotations

from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import quant, values
from quantune.passes.base import Pass, Report


@dataclass(frozen=True)
class InsertQdq(Pass):
    """Puts a quantize/dequantize pair on every edge of every integer layer: inputs, weights and output.

    The arithmetic stays in floating point, so the module now computes what the integer network will compute
    up to rounding, and each pair marks a place where numbers change form. Most pairs meet another and are
    removed by `cancel-qdq`.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf {quantune.precision = "integer", …} ins(%x, %w) outs(%0)
    After:
        %a = quant.qcast %x      %b = quant.dcast %a
        %c = quant.qcast %w      %d = quant.dcast %c
        %1 = linalg.conv_2d_nhwc_hwcf ins(%b, %d) outs(%0)
        %e = quant.qcast %1      %f = quant.dcast %e      (readers of %1 now read %f)

    Left alone: float layers; the output of an integer layer that only float layers read (its epilogue
    delivers f32 directly).
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        types = _value_types(function)
        pairs = 0
        for op in values.operations(function):
            if quant.precision_of(op) != "integer":
                continue
            pairs += self._inputs(op, types)
            if op.results[0] in types:
                self._output(op, types[op.results[0]])
                pairs += 1
        return {"pairs": pairs}

    def _inputs(self, op: ir.Operation, types: dict[ir.Value, ir.Type]) -> int:
        pairs = 0
        for index, operand in enumerate(op.operands):
            source = _unpaired(operand)
            if quant.WEIGHT_TYPE in op.attributes and index == 1:
                op.operands[1] = _pair(operand, op.attributes[quant.WEIGHT_TYPE].value, op)
                continue
            if source not in types or _same_layer(source, op):
                continue
            op.operands[index] = _pair(operand, types[source], op)
            pairs += 1
            wanted = types.get(op.results[0])
            if op.name == "tensor.concat" and wanted is not None and wanted != types[source]:
                op.operands[index] = _pair(op.operands[index], wanted, op)
        return pairs

    def _output(self, op: ir.Operation, element: ir.Type) -> None:
        result = op.results[0]
        readers = list(result.uses)
        with ir.InsertionPoint.after(op), op.location:
            paired = quant.dequantize(quant.quantize(result, element))
        for use in readers:
            use.owner.operation.operands[use.operand_number] = paired


def _value_types(function: ir.Operation) -> dict[ir.Value, ir.Type]:
    """value → quantized element type, from the marks that annotate-precision left."""
    types: dict[ir.Value, ir.Type] = {}
    if "arg_attrs" in function.attributes:
        for argument, marks in zip(
            values.body(function).arguments, function.attributes["arg_attrs"], strict=True
        ):
            if quant.OUTPUT_TYPE in marks:
                types[argument] = marks[quant.OUTPUT_TYPE].value
    for op in values.operations(function):
        if quant.OUTPUT_TYPE in op.attributes:
            types[op.results[0]] = op.attributes[quant.OUTPUT_TYPE].value
    return types


def _unpaired(value: ir.Value) -> ir.Value:
    """The value before a pair that its producer already put on it."""
    quantized = quant.quantized_source(value)
    op = None if quantized is None else values.defining(quantized)
    return value if op is None or op.name != quant.QUANTIZE else op.operands[0]


def _same_layer(value: ir.Value, op: ir.Operation) -> bool:
    producer = values.defining(value)
    return producer is not None and values.layer_of(producer) == values.layer_of(op)


def _pair(value: ir.Value, element: ir.Type, before: ir.Operation) -> ir.Value:
    with ir.InsertionPoint(before), before.location:
        return quant.dequantize(quant.quantize(value, element))
