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
        stored = torch.round(scaled + zero if zero else scaled).clamp_(low, high)
        stored = stored.sub_(zero) if zero else stored
        ctx.save_for_backward(scaled, stored, step)
        ctx.limits = (low - zero, high - zero, factor)
        return stored * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scaled, stored, step = ctx.saved_tensors
        low, high, factor = ctx.limits
        # what rounds into the range is within it; hardtanh's derivative is that mask in one vectorized pass
        inner = torch.ops.aten.hardtanh_backward(gradient, scaled, low - 0.5, high + 0.5)
        to_step = None
        if ctx.needs_input_grad[1]:
            # within: inner · (stored - scaled), beyond: (gradient - inner) · stored; summed apart, because
            # inner products touch memory once
            to_step = (_product(gradient, stored, step) - _product(inner, scaled, step)) * factor
        return inner, to_step, None, None, None, None


def _product(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """The sum of a · b over all that shares a step."""
    if like.dim() > 0:
        return (a * b).sum_to_size(like.shape)
    return torch.dot(_flat(a), _flat(b))


def _flat(x: Tensor) -> Tensor:
    """Without a copy where images lie channels last."""
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).reshape(-1)


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
