"""MobileNetV1 (Howard et al., 2017). torchvision has none; `features.N.0…5` as in its other networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantune.zoo.layers import round_channels

# Channels and strides of the depthwise-separable blocks: table 1 of the paper.
_CHANNELS = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class MobileNetV1(nn.Module):
    """Input [N, C, H, W], output [N, classes]."""

    def __init__(
        self,
        *,
        width: float = 1.0,
        strides: Sequence[int] = _STRIDES,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        inputs = round_channels(32 * width)
        features = [nn.Sequential(*_conv(channels, inputs, 3, 2))]
        for block, stride in zip(_CHANNELS, strides, strict=True):
            outputs = round_channels(block * width)
            features.append(
                nn.Sequential(*_conv(inputs, inputs, 3, stride, inputs), *_conv(inputs, outputs, 1))
            )
            inputs = outputs
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return out


def mobilenet_v1() -> MobileNetV1:
    return MobileNetV1()


def mobilenet_v1_32() -> MobileNetV1:
    # Halved twice less, to 4x4 at the end.
    strides = (1, 1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)
    return MobileNetV1(width=0.5, strides=strides, channels=1, classes=10)
