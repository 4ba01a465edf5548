"""Random variations of training pictures, for whole batches at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, black: float, shift: int, generator: torch.Generator) -> Tensor:
    """Shifts every picture by up to `shift` pixels each way and mirrors half of them left to right.

    images: [N, C, H, W], preprocessed. black: what a black pixel is after preprocessing; it fills the edge.
    generator: on the CPU, whatever the device of `images`, so that the choices are the same everywhere.
    """
    count, channels, height, width = images.shape
    offsets = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    rows = offsets[0] + torch.arange(height)
    columns = offsets[1] + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(images, (shift,) * 4, value=black)
    index = (
        torch.arange(count).view(-1, 1, 1, 1),
        torch.arange(channels).view(1, -1, 1, 1),
        rows.view(count, 1, height, 1),
        columns.view(count, 1, 1, width),
    )
    return padded[tuple(part.to(images.device) for part in index)]
