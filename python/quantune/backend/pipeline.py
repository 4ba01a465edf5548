"""The compiler's pipeline, the one place where it is visible as a list.

Each entry is a pass of `passes/` (alone: `quantune-opt --pass-pipeline=NAME`); `passes.base.run` runs them.
"""

from __future__ import annotations

from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.base import Pass
from quantune.passes.cancel_qdq import CancelQdq
from quantune.passes.channels_last import ChannelsLast
from quantune.passes.convert_conv_to_matmul import ConvertConvToMatmul
from quantune.passes.fold_batch_norm import FoldBatchNorm
from quantune.passes.insert_qdq import InsertQdq
from quantune.passes.join_groups import JoinGroups
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.lower_casts import LowerCasts
from quantune.passes.lower_to_integer import LowerToInteger
from quantune.passes.name_layers import NameLayers
from quantune.passes.propagate_qdq import PropagateQdq
from quantune.passes.prove_accumulators import ProveAccumulators
from quantune.passes.select_kernels import SelectKernels
from quantune.passes.space_to_depth import SpaceToDepth
from quantune.passes.strip_annotations import StripAnnotations
from quantune.plan.schema import Plan

# Ingress → the reference module that is calibrated, analysed and planned for. Still f32 throughout.
FLOAT: tuple[Pass, ...] = (
    JoinGroups(),  # a grouped convolution is one operation …
    FoldBatchNorm(),  # … which needs its neighbours as torch wrote them
    ChannelsLast(),
    NameLayers(),  # last: a layer is a group of channels-last operations
)


NO_KERNELS = KernelTarget()


def fp32(kernels: KernelTarget = NO_KERNELS) -> tuple[Pass, ...]:
    """Reference module → the fp32 variant; kernels as for `quantize`."""
    return (SelectKernels(kernels), ConvertConvToMatmul(), StripAnnotations())


def quantize(plan: Plan, kernels: KernelTarget = NO_KERNELS) -> tuple[Pass, ...]:
    """Reference module + plan → quantized module, which a stock iree-compile takes.

    kernels: the processor whose microkernels to use; by default IREE generates all code.
    """
    return (
        AnnotatePrecision(plan),  # the plan's decisions, as attributes
        InsertQdq(),  # every edge of every integer layer gets a quantize/dequantize pair …
        PropagateQdq(),  # … padding, pooling and reshapes move to the integer side of theirs …
        CancelQdq(),  # … and pairs that meet vanish; what is left is counted
        SpaceToDepth(kernels),  # a first convolution over 3 channels gets longer runs of operands
        ProveAccumulators(kernels),  # how long 16-bit sums are safe, from the weights …
        SelectKernels(kernels),  # what our microkernels do best …
        LowerToInteger(),  # … and the rest: i8 in, i32 sums, one fused epilogue
        LowerCasts(),  # what is left of quantize/dequantize becomes arithmetic
        ConvertConvToMatmul(),  # the form that data tiling and microkernels know
        StripAnnotations(),
    )
