"""What evens out the means of one layer's results."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 8


def correction(exact: Tensor, noisy: Tensor, clamp: tuple[float, float]) -> Tensor:
    """[F], what the bias lacks for equal means of exact and noisy sums, both clamped.

    [N, F, H, W] or [N, F] each. The clamp bends the mean, hence Newton's steps: the error over how many sums
    it lets through, exact or noisy. Taken in f64. Without a clamp the first step is the mean error.
    """
    low, high = clamp
    axes = [axis for axis in range(exact.dim()) if axis != 1]
    wanted, inside = torch.clamp(exact, low, high), (exact > low) & (exact < high)
    shape = [1, -1, *[1] * (exact.dim() - 2)]
    found = torch.zeros(exact.shape[1], dtype=torch.float64)
    for _ in range(STEPS if clamp != (-torch.inf, torch.inf) else 1):
        moved = noisy + found.float().reshape(shape)
        through = (inside | ((moved > low) & (moved < high))).sum(axes).clamp(min=1)
        found += (wanted - torch.clamp(moved, low, high)).double().sum(axes) / through
    return found.float()
