"""One layer's weights, rounded up or down for the least error of its output."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantune.graph.model import Layer
from quantune.repair.learned_rounding.patches import as_matrices, by_channel, from_matrices, sampled

STEPS = 300
BATCH = 512
PATCHES = 8192
ELEMENTS = 1 << 25
"""Of all patches together: at most 128 MiB for each of the two networks."""
LEARNING_RATE = 0.1
WARM_UP = 0.2
"""Share of the steps without the second term."""
STRENGTH = 1.0
BETAS = (20.0, 2.0)
LOW, HIGH = -0.1, 1.1
"""The sigmoid is stretched to this and cut to [0, 1], so that 0 and 1 are reached."""


@dataclass(frozen=True)
class _Problem:
    """One layer's reconstruction: all tensors [G, …], see `patches`."""

    inputs: Tensor
    target: Tensor
    bias: Tensor
    scales: Tensor
    limit: int
    clamp: tuple[float, float]

    def loss(self, stored: Tensor, rows: slice = slice(None)) -> Tensor:
        """Mean over patches of the squared error of all channels, with weights stored · scales."""
        found = torch.clamp(self.inputs[:, rows] @ (stored * self.scales) + self.bias, *self.clamp)
        return (found - self.target[:, rows]).square().sum() / found.shape[1]


def learn(
    layer: Layer, scales: NDArray[np.float64], bits: int, exact: Tensor, noisy: Tensor
) -> tuple[NDArray[np.float32], float, float]:
    """(weight on the grid of `scales` in its kind's layout, its loss, the loss of the nearest rounding).

    exact, noisy: the layer's input [N, C, H, W] or [N, K] in the float network and in the quantized one. The
    same in every run: seeded by the layer's name. Where learning gains nothing, the nearest rounding stays.
    """
    assert layer.weight is not None
    generator = torch.Generator().manual_seed(zlib.crc32(layer.name.encode()))
    problem = _problem(layer, scales, bits, exact, noisy, generator)
    ratio = torch.clamp(as_matrices(layer, layer.weight) / problem.scales, -problem.limit, problem.limit)
    nearest = torch.round(ratio)
    before = float(problem.loss(nearest))
    stored = _optimized(problem, ratio, before) if 0 < before < float("inf") else nearest
    after = float(problem.loss(stored))
    if not after < before:
        stored, after = nearest, before
    grid = from_matrices(layer, stored).astype(np.float64) * scales
    return grid.astype(np.float32), after, before


def _problem(
    layer: Layer,
    scales: NDArray[np.float64],
    bits: int,
    exact: Tensor,
    noisy: Tensor,
    generator: torch.Generator,
) -> _Problem:
    assert layer.weight is not None
    limit = max(BATCH, min(PATCHES, ELEMENTS // max(layer.weight.size // layer.weight.shape[-1], 1)))
    x, inputs = sampled(layer, [exact, noisy], limit, generator)
    bias = by_channel(layer, np.zeros(layer.weight.shape[-1]) if layer.bias is None else layer.bias)
    # what is added before the activation hides which sums it cuts
    clamp = (-np.inf, np.inf) if layer.residual else layer.clamp
    target = torch.clamp(x @ as_matrices(layer, layer.weight) + bias, *clamp)
    return _Problem(inputs, target, bias, by_channel(layer, scales), (1 << (bits - 1)) - 1, clamp)


def _optimized(problem: _Problem, ratio: Tensor, unit: float) -> Tensor:
    """Whole numbers [G, K, F / G] within one of `ratio`; unit: the loss that counts as 1."""
    down = torch.floor(ratio)
    v = torch.special.logit((ratio - down - LOW) / (HIGH - LOW)).requires_grad_()
    optimizer = torch.optim.Adam([v], LEARNING_RATE)
    patches = problem.inputs.shape[1]
    batch = min(BATCH, patches)
    for step in range(STEPS):
        begin = step * batch % (patches - batch + 1)
        with torch.enable_grad():
            h = _up(v)
            loss = problem.loss(_clipped(down + h, problem.limit), slice(begin, begin + batch)) / unit
            if (progress := step / STEPS) >= WARM_UP:
                beta = BETAS[1] + (BETAS[0] - BETAS[1]) * (1 - (progress - WARM_UP) / (1 - WARM_UP))
                loss = loss + STRENGTH * (1 - (2 * h - 1).abs().pow(beta)).mean()
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
    return _clipped(down + (_up(v.detach()) >= 0.5), problem.limit)


def _up(v: Tensor) -> Tensor:
    return torch.clamp(torch.sigmoid(v) * (HIGH - LOW) + LOW, 0, 1)


def _clipped(stored: Tensor, limit: int) -> Tensor:
    return torch.clamp(stored, -limit, limit)
