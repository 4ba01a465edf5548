"""select-kernels."""

from __future__ import annotations

from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.graph.extract import anchor_of, layer_operations
from quantune.ir import build, match, quant, values
from quantune.passes.base import Pass, Report, tidy
from quantune.passes.integer_group import Contraction, IntegerGroup, geometry_of
from quantune.passes.kernel_dispatch import Kernels, KernelTarget
from quantune.passes.prove_accumulators import flush_schedule
from quantune.passes.ukernels.pack import pack_conv
from quantune.passes.ukernels.pack_depthwise import pack_depthwise


@dataclass(frozen=True)
class SelectKernels(Pass):
    """Rewrites integer layers to dispatches of Quantune's microkernels and says of every layer what was
    chosen and why.

    A convolution or fully connected layer, with its bias, residual addition, clamp and requantization,
    becomes one `flow.dispatch` into C compiled to bitcode, which is embedded, so that a stock
    `iree-compile` needs nothing else. Weights, scales and the flush schedule are one constant. Both ways
    compute the same bits.

    Options:
        target: the processor (on the command line its name, such as x86-64-avx2); without one, and on
            processors that have no kernels, everything is left to IREE's code generation.

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf ins(%dequantized, %dequantized_weights) outs(%zero)
        %2 = linalg.generic ins(%1, %bias) { addf }
        %3 = quant.qcast %2
    After:
        %1 = flow.dispatch @quantune_kernels::@quantune_qconv_avx2_…(%x, %constants)
            : (tensor<1x58x58x64xi8>, …) -> tensor<1x56x56x64xi8>

    Left alone: float layers, weights whose 16-bit sums cannot be proved (AVX2).
    """

    target: KernelTarget = field(default=KernelTarget(), metadata={"help": "name of a target"})

    def apply(self, module: ir.Module) -> Report:
        choices: dict[str, str] = {}
        kernels = Kernels(self.target)
        for name, ops in layer_operations(module).items():
            anchor = anchor_of(ops)
            if quant.precision_of(anchor) == "integer" and anchor.name in match.CONTRACTIONS:
                with ir.InsertionPoint(ops[-1]), anchor.location:
                    choices[name] = self._convolution(IntegerGroup(ops, anchor), kernels)
        kernels.write(module)
        tidy(module)
        return {"choices": choices, "kernels": sum(c.startswith("kernel") for c in choices.values())}

    def _convolution(self, group: IntegerGroup, kernels: Kernels) -> str:
        """Rewrites one group if a kernel fits; returns what was chosen and why."""
        anchor = group.anchor
        depthwise = anchor.name == match.DEPTHWISE
        isa = self.target.isa("qdepthwise" if depthwise else "qconv")
        if isa is None:
            return "generated code: no kernel for this target"
        geometry = geometry_of(anchor)
        if not depthwise and not geometry.supported:
            return "generated code: its window has too many taps of fewer than 4 channels"
        parts = group.contraction()
        if parts.residual is not None and values.element_type(parts.residual) != build.integer(8):
            return "generated code: its residual input is f32"
        if depthwise:
            blob, workgroups = pack_depthwise(
                geometry, parts.weight, parts.epilogue, isa, parts.source.maximum
            )
            _dispatch(group, parts, "qdepthwise", blob, workgroups, kernels)
            return f"kernel qdepthwise for {isa}"
        flushes = None
        if self.target.layout.lane:
            flushes = flush_schedule(anchor)
            if flushes is None:
                return (
                    "generated code: products of 8-bit weights may overflow 16 bits; 7-bit weights would not"
                )
        blob, workgroups = pack_conv(geometry, parts.weight, parts.epilogue, flushes, isa)
        _dispatch(group, parts, "qconv", blob, workgroups, kernels)
        return f"kernel qconv for {isa}"


def _dispatch(
    group: IntegerGroup,
    parts: Contraction,
    family: str,
    blob: bytes,
    workgroups: tuple[int, int],
    kernels: Kernels,
) -> None:
    element = build.f32() if parts.epilogue.output is None else build.integer(8)
    result = build.tensor_type(values.shape(group.anchor.results[0]), element)
    operands = [
        parts.stored,
        *([] if parts.residual is None else [parts.residual]),
        build.bytes_constant(blob),
    ]
    name = family if parts.residual is None else f"{family}_residual"
    group.finish(kernels.call(family, name, operands, result, workgroups))
