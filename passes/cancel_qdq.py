"""cancel-qdq."""

from __future__ import annotations

from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import quant, values
from quantune.passes.base import Pass, Report, remove_dead


@dataclass(frozen=True)
class CancelQdq(Pass):
    """Removes a dequantize followed by a quantize to the same type, and reports the boundaries that remain.

    A boundary is a place where numbers really change form: a float value quantized, or a quantized value read
    as float. Its price is a pass over the tensor. A pair of different types stays: it is a requantization,
    and counted as such.

    Before:
        %1 = quant.dcast %q
        %2 = quant.qcast %1      (to the type of %q)
        %3 = quant.dcast %2
    After:
        %3 = quant.dcast %q

    Left alone: weights (constants), pairs whose types differ.
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        casts = [op for op in values.operations(function) if op.name == quant.QUANTIZE]
        activations = [op for op in casts if values.constant(op.operands[0]) is None]
        cancelled = 0
        for op in activations:
            source = quant.quantized_source(op.operands[0])
            if source is not None and source.type == op.results[0].type:
                op.results[0].replace_all_uses_with(source)
                op.erase()
                cancelled += 1
        remove_dead(module)
        return {"pairs_found": len(activations), "cancelled": cancelled, **boundaries(function)}


def boundaries(function: ir.Operation) -> dict[str, int | list[str]]:
    """Counts quantizations of float values, dequantizations for float readers, and requantizations left."""
    quantized = dequantized = requantized = 0
    where: list[str] = []
    for op in values.operations(function):
        if op.name == quant.QUANTIZE and values.constant(op.operands[0]) is None:
            producer = values.defining(op.operands[0])
            if producer is not None and producer.name == quant.DEQUANTIZE:
                requantized += 1
            elif producer is None or quant.precision_of(producer) != "integer":
                quantized += 1
                where.append(f"quantize {'input' if producer is None else values.layer_of(producer)}")
        elif op.name == quant.DEQUANTIZE and (readers := _float_readers(op.results[0])):
            dequantized += 1
            where.append(f"dequantize for {', '.join(readers)}")
    return {
        "boundaries_left": quantized + dequantized,
        "quantize": quantized,
        "dequantize": dequantized,
        "requantize": requantized,
        "where": where,
    }


def _float_readers(value: ir.Value) -> list[str]:
    readers = values.users(value)
    floats = [op for op in readers if op.name != quant.QUANTIZE and quant.precision_of(op) != "integer"]
    return sorted(values.layer_of(op) or op.name for op in floats)
