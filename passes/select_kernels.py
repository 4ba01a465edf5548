"""select-kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.graph.extract import anchor_of, layer_operations
from quantune.ir import build, match, quant, values
from quantune.passes import channel_moves, map_kernels, pooling_kernels
from quantune.passes.base import Pass, Report, tidy
from quantune.passes.float_group import FloatGroup, float_group
from quantune.passes.integer_group import IntegerGroup, geometry_of
from quantune.passes.kernel_dispatch import Kernels, KernelTarget
from quantune.passes.place_results import fold_casts
from quantune.passes.pooled_convolutions import find_pool, request_pooled
from quantune.passes.prove_accumulators import flush_schedule
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.pack import pack_conv
from quantune.passes.ukernels.pack_depthwise import pack_depthwise
from quantune.passes.ukernels.pack_fconv import pack_fconv
from quantune.passes.ukernels.pack_fdepthwise import pack_fdepthwise


@dataclass(frozen=True)
class SelectKernels(Pass):
    """Rewrites layers to dispatches of Quantune's microkernels and says of every layer what was chosen and
    why.

    A convolution or fully connected layer, with its bias, residual addition, clamp and requantization,
    becomes one `flow.dispatch` into C compiled to bitcode, which is embedded, so that a stock
    `iree-compile` needs nothing else. Weights, scales and the flush schedule are one constant. Integer
    layers compute the same bits both ways; layers that stay f32 may sum in another order.

    Options:
        target: the processor (on the command line its name, such as x86-64-avx2); without one, and on
            processors that have no kernels, everything is left to IREE's code generation.

    A large f32 convolution that only a maximum pool reads pools at once (`passes/pooled_convolutions.py`). A
    result that kernels read padded is written into a tensor that has the border already, and results that
    are concatenated are written side by side into one (`passes/place_results.py`): neither is copied. A
    residual that nobody reads any more is where the result goes (`passes/in_place.py`).

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf ins(%dequantized, %dequantized_weights) outs(%zero)
        %2 = linalg.generic ins(%1, %bias) { addf }
        %3 = quant.qcast %2
        %4 = tensor.pad %storage low[0, 1, 1, 0] high[0, 1, 1, 0]
    After:
        %1 = flow.dispatch @quantune_kernels::@layer1.0.conv1$qconv_avx2(%x, %constants)
            : (tensor<1x58x58x64xi8>, …) -> tensor<1x58x58x64xi8>
    """

    target: KernelTarget = field(default=KernelTarget(), metadata={"help": "name of a target"})

    def apply(self, module: ir.Module) -> Report:
        choices: dict[str, str] = {}
        kernels = Kernels(self.target)
        for name, ops in layer_operations(module).items():
            if name in choices:
                continue
            anchor = anchor_of(ops)
            with ir.InsertionPoint(ops[-1]), anchor.location:
                if quant.precision_of(anchor) == "integer":
                    if (rule := self._rule(anchor)) is not None:
                        choices[name] = rule(name, IntegerGroup(ops, anchor), kernels)
                elif anchor.name == pooling_kernels.FLOAT_MAXIMUM:
                    choices[name] = pooling_kernels.float_maximum(name, anchor, kernels)
                elif (group := float_group(ops, anchor)) is not None:
                    choices |= self._float(name, group, kernels)
        quantizations = map_kernels.casts(module, kernels)
        fold_casts(module)
        choices |= channel_moves.shuffles(module, kernels)
        channel_moves.copies(module, kernels)
        kernels.write(module)
        tidy(module)
        chosen = sum(choice.startswith("kernel") for choice in choices.values())
        return {"choices": choices, "kernels": chosen, "quantizations": quantizations}

    def _rule(self, anchor: ir.Operation) -> Callable[[str, IntegerGroup, Kernels], str] | None:
        if match.contraction_kind(anchor) is not None:
            return self._convolution
        if anchor.name == pooling_kernels.MAXIMUM:
            return pooling_kernels.maximum
        if pooling_kernels.is_average(anchor):
            return pooling_kernels.average
        return map_kernels.add if match.is_plain_add(anchor) else None

    def _convolution(self, name: str, group: IntegerGroup, kernels: Kernels) -> str:
        """Requests a kernel for one group if one fits; returns what was chosen and why."""
        anchor = group.anchor
        depthwise = anchor.name == match.DEPTHWISE
        family = "qdepthwise" if depthwise else "qconv"
        isa = self.target.isa(family)
        if isa is None:
            return "generated code: no kernel for this target"
        geometry = geometry_of(anchor)
        if not depthwise and not geometry.supported:
            return "generated code: its window has too many taps of fewer than 4 channels"
        parts = group.contraction()
        residual_f32 = parts.residual is not None and values.element_type(parts.residual) == build.f32()
        flushes = None if depthwise else flush_schedule(anchor)
        unproved = not depthwise and self.target.layout.lane and flushes is None

        def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
            largest = parts.source.maximum
            if depthwise:
                return pack_depthwise(
                    geometry, parts.weight, parts.epilogue, isa, largest, where, residual_f32
                )
            return pack_conv(
                geometry, parts.weight, parts.epilogue, flushes, isa, largest, where, residual_f32
            )

        element = build.f32() if parts.epilogue.output is None else build.integer(8)
        result = build.tensor_type(values.shape(anchor.results[0]), element)
        group.finish(
            kernels.request(
                name,
                family,
                parts.stored,
                parts.residual,
                result,
                pack,
                whole_rows=not depthwise and geometry.whole_rows,
            )
        )
        slow = ", widening every product: 8-bit weights may overflow 16 bits, 7-bit ones would not"
        return f"kernel {family} for {isa}{slow if unproved else ''}"

    def _float(self, name: str, group: FloatGroup, kernels: Kernels) -> dict[str, str]:
        """The same for a layer that stays f32, and for a pool that its kernel takes over."""
        family = "fdepthwise" if group.anchor.name == match.DEPTHWISE else "fconv"
        isa = self.target.isa(family)
        if isa is None:
            return {name: "generated code: no f32 kernel for this target"}
        geometry = geometry_of(group.anchor)
        chosen = f"kernel {family} for {isa}"
        pool = find_pool(group, geometry) if family == "fconv" else None
        if pool is not None:
            request_pooled(name, group, geometry, pool, kernels, isa)
            return {name: f"{chosen}, which pools for {pool.layer}", pool.layer: f"{chosen}, that of {name}"}

        def pack(where: Placement) -> tuple[bytes, tuple[int, int]]:
            pack_family = pack_fdepthwise if family == "fdepthwise" else pack_fconv
            return pack_family(isa, geometry, group.weight, group.finish, where)

        result = build.tensor_type(values.shape(group.result), build.f32())
        value = kernels.request(
            name, family, group.image, group.residual, result, pack, never_negative=group.never_negative
        )
        group.result.replace_all_uses_with(value)
        return {name: chosen}
