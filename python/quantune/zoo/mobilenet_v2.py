"""MobileNetV2 (Sandler et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantune.zoo.layers import ConvBnRelu6, round_channels

# (expansion, channels, repeats), and strides: table 2 of the paper.
_STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
_STRIDES = (1, 2, 2, 2, 1, 2, 1)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1 projection; a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [ConvBnRelu6(inputs, hidden, kernel=1)] if expansion != 1 else []
        layers += [
            ConvBnRelu6(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


class MobileNetV2(nn.Module):
    """Input [N, C, H, W], output [N, classes]. The head does not shrink with `width` below 1."""

    def __init__(
        self,
        *,
        width: float = 1.0,
        head: int = 1280,
        strides: Sequence[int] = _STRIDES,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        inputs = round_channels(32 * width)
        features: list[nn.Module] = [ConvBnRelu6(channels, inputs, stride=2)]
        for (expansion, stage, repeats), stride in zip(_STAGES, strides, strict=True):
            outputs = round_channels(stage * width)
            for i in range(repeats):
                features.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        features.append(ConvBnRelu6(inputs, head, kernel=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(head, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        out: Tensor = self.classifier(torch.flatten(x, 1))
        return out


def mobilenet_v2() -> MobileNetV2:
    return MobileNetV2()


def mobilenet_v2_32() -> MobileNetV2:
    # Halved twice less, to 4x4 at the end.
    return MobileNetV2(width=0.5, head=320, strides=(1, 1, 2, 2, 1, 1, 1), channels=1, classes=10)
