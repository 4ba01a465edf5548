"""What a contraction's weights are multiplied with: a sample of its input's windows, as matrices.

A contraction is G independent products [P, K] x [K, F / G]: one for a convolution or linear layer, one
for each group of a grouped convolution, one for each channel of a depthwise one.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from quantune.graph.model import Layer


def groups_of(layer: Layer) -> int:
    assert layer.weight is not None
    return layer.weight.shape[-1] if layer.kind == "depthwise_conv2d" else layer.attributes.get("groups", 1)


def as_matrices(layer: Layer, weight: NDArray[np.float32]) -> Tensor:
    """The weight in its kind's layout → [G, K, F / G]."""
    if layer.kind == "depthwise_conv2d":
        return torch.tensor(weight.reshape(-1, weight.shape[-1]).T[:, :, None].copy())
    groups = groups_of(layer)
    apart = torch.tensor(weight).reshape(-1, groups, weight.shape[-1] // groups)
    return apart.permute(1, 0, 2).contiguous()


def from_matrices(layer: Layer, matrices: Tensor) -> NDArray[np.float32]:
    """[G, K, F / G] → the weight in its kind's layout."""
    assert layer.weight is not None
    moved = matrices[:, :, 0].T if layer.kind == "depthwise_conv2d" else matrices.permute(1, 0, 2)
    return np.ascontiguousarray(moved.reshape(layer.weight.shape).numpy())


def by_channel(layer: Layer, vector: NDArray[np.float64] | NDArray[np.float32]) -> Tensor:
    """[F] → f32 [G, 1, F / G]."""
    return torch.tensor(vector.astype(np.float32)).reshape(groups_of(layer), 1, -1)


def sampled(layer: Layer, inputs: list[Tensor], limit: int, generator: torch.Generator) -> list[Tensor]:
    """For each input [N, C, H, W] or [N, K], windows [G, P, K] at the same P <= limit places, at random."""
    if layer.kind == "linear":
        rows = torch.randperm(inputs[0].shape[0], generator=generator)[:limit]
        return [x[rows][None] for x in inputs]
    _, height, width, _ = layer.output_shape
    total = inputs[0].shape[0] * height * width
    chosen = torch.randperm(total, generator=generator)[:limit]
    places = (chosen // (height * width), chosen // width % height, chosen % width)
    return [_windows(layer, x, places) for x in inputs]


def _windows(layer: Layer, x: Tensor, places: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    assert layer.weight is not None
    (top, bottom), (left, right) = layer.attributes.get("padding", [[0, 0], [0, 0]])
    x = F.pad(x, [left, right, top, bottom]).permute(0, 2, 3, 1)
    strides, dilations = (layer.attributes.get(key, [1, 1]) for key in ("strides", "dilations"))
    image, row, column = places
    taps = [
        x[image, row * strides[0] + i * dilations[0], column * strides[1] + j * dilations[1]]
        for i in range(layer.weight.shape[0])
        for j in range(layer.weight.shape[1])
    ]
    stacked = torch.stack(taps, 1)  # [P, KH KW, C]
    groups = groups_of(layer)
    apart = stacked.reshape(len(image), len(taps), groups, -1).permute(2, 0, 1, 3)
    return apart.reshape(groups, len(image), -1)
