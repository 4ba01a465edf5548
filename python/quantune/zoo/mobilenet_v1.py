"""MobileNetV1 (Howard et al., 2017). torchvision has none; `features.N.0…5` as in its other networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantune.zoo.layers import round_channels

# (channels, stride) of the depthwise-separable blocks: table 1 of the paper.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class MobileNetV1(nn.Module):
    """Input [N, C, H, W], output [N, classes]."""

    def __init__(
        self, *, width: float = 1.0, stem_stride: int = 2, channels: int = 3, classes: int = 1000
    ) -> None:
        super().__init__()
        inputs = round_channels(32 * width)
        features = [nn.Sequential(*_conv(channels, inputs, 3, stem_stride))]
        for block, stride in _BLOCKS:
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
    return MobileNetV1(width=0.5, stem_stride=1, channels=1, classes=10)
