"""ShuffleNetV2 (Ma et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_REPEATS = (4, 8, 4)


def _shuffle(x: Tensor) -> Tensor:
    """Interleaves the two halves of the channels."""
    batch, channels, height, width = x.shape
    x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
    return x.view(batch, channels, height, width)


def _pointwise(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _depthwise(channels: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
    ]


class ShuffleUnit(nn.Module):
    """Stride 1 works on half of the channels, stride 2 on all of them in both branches."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.stride = stride
        self.branch1 = nn.Sequential(
            *([*_depthwise(inputs, stride), *_pointwise(inputs, half)] if stride > 1 else [])
        )
        self.branch2 = nn.Sequential(
            *_pointwise(inputs if stride > 1 else half, half),
            *_depthwise(half, stride),
            *_pointwise(half, half),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return _shuffle(torch.cat((kept, self.branch2(changed)), dim=1))
        return _shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1))


class ShuffleNetV2(nn.Module):
    """Input [N, C, H, W], output [N, classes]. `widths`: channels of the stem, three stages and the head.

    `small`: no max-pool after the stem.
    """

    def __init__(
        self, widths: Sequence[int], *, channels: int = 3, classes: int = 1000, small: bool = False
    ) -> None:
        super().__init__()
        stem, *stages, head = widths
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = stem
        for i, (outputs, repeats) in enumerate(zip(stages, _REPEATS, strict=True)):
            units = [ShuffleUnit(inputs, outputs, 2)]
            units += [ShuffleUnit(outputs, outputs, 1) for _ in range(repeats - 1)]
            self.add_module(f"stage{i + 2}", nn.Sequential(*units))
            inputs = outputs
        self.conv5 = nn.Sequential(*_pointwise(inputs, head))
        self.fc = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        for i in (2, 3, 4):
            x = self.get_submodule(f"stage{i}")(x)
        out: Tensor = self.fc(self.conv5(x).mean([2, 3]))
        return out


def shufflenet_v2() -> ShuffleNetV2:
    return ShuffleNetV2((24, 116, 232, 464, 1024))


def shufflenet_v2_32() -> ShuffleNetV2:
    return ShuffleNetV2((24, 48, 96, 192, 512), channels=1, classes=10, small=True)
