"""SqueezeNet 1.1 (Iandola et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantune.zoo.layers import CeilMaxPool2d


class Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([narrow, wide], 1)


class SqueezeNet(nn.Module):
    """Input [N, C, H, W], output [N, classes]. `small`: padded stem, no first max-pool."""

    def __init__(
        self, *, divide: int = 1, channels: int = 3, classes: int = 1000, small: bool = False
    ) -> None:
        super().__init__()

        def fire(inputs: int, squeeze: int, expand: int) -> Fire:
            return Fire(inputs // divide, squeeze // divide, expand // divide)

        self.features = nn.Sequential(
            nn.Conv2d(channels, 64 // divide, 3, 2, 1 if small else 0),
            nn.ReLU(inplace=True),
            nn.Identity() if small else CeilMaxPool2d(3, 2),
            fire(64, 16, 64),
            fire(128, 16, 64),
            CeilMaxPool2d(3, 2),
            fire(128, 32, 128),
            fire(256, 32, 128),
            CeilMaxPool2d(3, 2),
            fire(256, 48, 192),
            fire(384, 48, 192),
            fire(384, 64, 256),
            fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(512 // divide, classes, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


def squeezenet() -> SqueezeNet:
    return SqueezeNet()


def squeezenet_32() -> SqueezeNet:
    return SqueezeNet(divide=2, channels=1, classes=10, small=True)
