"""Fake quantization whose steps are learned.

S. Esser et al., "Learned Step Size Quantization", ICLR 2020. The grid is that of `quantune.numerics`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from quantune.numerics import weight_scales


class _FakeQuantize(torch.autograd.Function):
    """step · (clamp(rint(x / step + zero), low, high) - zero).

    The gradient to x passes within the range and stops beyond; to the step it is that of the formula with
    rint's slope taken as 1 (Esser et al., equation 3), times `factor`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero: int, low: int, high: int, factor: float) -> Tensor:
        scaled = x / step
        if zero:
            scaled += zero
        stored = torch.round(scaled).clamp_(low, high)
        ctx.save_for_backward(scaled, stored, step)
        ctx.limits = (zero, low, high, factor)
        return (stored - zero).mul_(step) if zero else stored * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scaled, stored, step = ctx.saved_tensors
        zero, low, high, factor = ctx.limits
        # what rounds into the range is within it; hardtanh's derivative is that mask in one vectorized pass
        inner = torch.ops.aten.hardtanh_backward(gradient, scaled, low - 0.5, high + 0.5)
        to_step = None
        if ctx.needs_input_grad[1]:
            within, beyond = inner * (stored - scaled), (gradient - inner) * (stored - zero)
            to_step = within.add_(beyond).sum_to_size(step.shape).mul_(factor)
        return inner, to_step, None, None, None, None


def quantize_kernel(kernel: Tensor, step: Tensor, bits: int) -> Tensor:
    """Weights on the grid of `bits`: |q| <= 2**(bits - 1) - 1. kernel: [F, …]; step: [F]."""
    limit = 2 ** (bits - 1) - 1
    factor = 1 / math.sqrt(max(1, kernel.numel() // kernel.shape[0]) * limit)
    shape = (-1, *[1] * (kernel.dim() - 1))
    found: Tensor = _FakeQuantize.apply(  # type: ignore[no-untyped-call]
        kernel, step.reshape(shape), 0, -limit, limit, factor
    )
    return found


def quantize_value(x: Tensor, step: Tensor, zero_point: int, bits: int) -> Tensor:
    """Activations on the grid of `bits`, 0 … 2**bits - 1 with `zero_point`. step: a single number."""
    maximum = 2**bits - 1
    factor = 1 / math.sqrt(max(1, x.numel() // x.shape[0]) * maximum)
    found: Tensor = _FakeQuantize.apply(  # type: ignore[no-untyped-call]
        x, step, zero_point, 0, maximum, factor
    )
    return found


@torch.no_grad()
def untrained_steps(kernel: Tensor, bits: int) -> Tensor:
    """[F] the step of each channel that a post-training plan would take."""
    scales = weight_scales(kernel.cpu().numpy(), bits, channel_axis=0)
    return torch.from_numpy(scales).to(kernel)
