"""prove-accumulators."""

from __future__ import annotations

from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.graph.extract import anchor_of, layer_operations
from quantune.ir import match, quant, values
from quantune.passes.base import Pass, Report
from quantune.passes.integer_group import geometry_of, quantized_weight
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.ukernels.pack import pack_weights, runs_of, schedules
from quantune.passes.ukernels.panels import operand_segments

FLUSHES = "quantune.flush_schedule"
"""On a contraction: one byte array a tile; per segment a 16-bit count, then its groups' lengths in steps."""


@dataclass(frozen=True)
class ProveAccumulators(Pass):
    """Proves how long 16-bit lanes may sum before they are widened to 32 bits, and writes the schedule down.

    Weights are constants and activations lie in 0..a_max, so the extremes of every partial sum are known:
    a_max times the sum of the positive weights of a lane, and of the negative ones. The pass cuts each tile's
    steps (16 columns, 4 operands a step) into the longest groups that no activations can overflow. The proof
    is spelled out in `passes/ukernels/schedule.py` and `docs/kernels.md`; AVX2 and NEON kernels flush by it.

    Options:
        target: the processor (on the command line its name); one whose kernels sum in 32 bits needs no proof.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf {quantune.weight_type = !quant.uniform<i8<-31:31>:f32:3, {…}>, …}
    After:
        %1 = linalg.conv_2d_nhwc_hwcf {…, quantune.flush_schedule = [array<i8: 2, 0, 9, 7>, …]}

    Left alone: float layers, depthwise convolutions, and weights of which a single step may overflow already
    (8 bits on AVX2, as a rule): these get no schedule, the kernel widens their every product, and the report
    names them.
    """

    target: KernelTarget = field(default=KernelTarget(), metadata={"help": "name of a target"})

    def apply(self, module: ir.Module) -> Report:
        proved: dict[str, float] = {}
        unproved: list[str] = []
        layout, isa = self.target.layout, self.target.isa("qconv") or ""
        for name, ops in layer_operations(module).items() if layout.lane else ():
            anchor = anchor_of(ops)
            quantized = quant.quantized_source(anchor.operands[0]) if len(anchor.operands) else None
            if quantized is None or not _is_integer_product(anchor):
                continue
            source = quant.activation_quantization(values.element_type(quantized))
            geometry = geometry_of(anchor)
            weight, _ = quantized_weight(anchor)
            parts = operand_segments(geometry, weight, isa)
            packed = pack_weights(weight, geometry, parts)
            flushes = schedules(packed, parts.steps, source.maximum, layout)
            if flushes is None:
                unproved.append(name)
                continue
            tiles = [ir.DenseI8ArrayAttr.get(_signed(part)) for part in flushes]
            anchor.attributes[FLUSHES] = ir.ArrayAttr.get(tiles)
            groups = sum(len(runs_of(part)[1]) for part in flushes)
            proved[name] = round(packed.shape[0] * packed.shape[1] / groups, 2)
        return {"steps_between_flushes": proved, "unproved": unproved}


def _is_integer_product(anchor: ir.Operation) -> bool:
    return quant.precision_of(anchor) == "integer" and match.contraction_kind(anchor) in ("conv2d", "linear")


def flush_schedule(anchor: ir.Operation) -> list[bytes] | None:
    """What the pass wrote on a contraction, tile by tile; None where it proved nothing."""
    if FLUSHES not in anchor.attributes:
        return None
    return [bytes(value & 0xFF for value in values.integers(tile)) for tile in anchor.attributes[FLUSHES]]


def _signed(data: bytes) -> list[int]:
    return [value - 256 if value > 127 else value for value in data]
