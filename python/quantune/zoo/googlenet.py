"""GoogLeNet (Szegedy et al., 2014) with batch norm and without the auxiliary classifiers.

As in torchvision, the "5x5" branch has a 3x3 kernel, which is what its published weights were trained with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantune.zoo.layers import CeilMaxPool2d, round_channels

# 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection: table 1 of the paper.
_INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side. `widths`: a row of the table above."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        plain, reduce3, wide3, reduce5, wide5, pool = widths
        self.branch1 = BasicConv2d(inputs, plain, 1)
        self.branch2 = nn.Sequential(BasicConv2d(inputs, reduce3, 1), BasicConv2d(reduce3, wide3, 3))
        self.branch3 = nn.Sequential(BasicConv2d(inputs, reduce5, 1), BasicConv2d(reduce5, wide5, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), BasicConv2d(inputs, pool, 1))
        self.outputs = plain + wide3 + wide5 + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """Input [N, C, H, W], output [N, classes]. `small`: a 3x3 stem, no first max-pool."""

    def __init__(
        self, *, width: float = 1.0, channels: int = 3, classes: int = 1000, small: bool = False
    ) -> None:
        super().__init__()
        stem, inputs = round_channels(64 * width), round_channels(192 * width)
        self.conv1 = BasicConv2d(channels, stem, 3 if small else 7, 2)
        self.maxpool1 = nn.Identity() if small else CeilMaxPool2d(3, 2)
        self.conv2 = BasicConv2d(stem, stem, 1)
        self.conv3 = BasicConv2d(stem, inputs, 3)
        self.maxpool2 = CeilMaxPool2d(3, 2)
        for name, widths in _INCEPTIONS.items():
            block = Inception(inputs, tuple(round_channels(w * width) for w in widths))
            self.add_module(f"inception{name}", block)
            inputs = block.outputs
        self.maxpool3 = CeilMaxPool2d(3, 2)
        self.maxpool4 = CeilMaxPool2d(2, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        for name in _INCEPTIONS:
            if name in ("4a", "5a"):
                x = self.get_submodule(f"maxpool{3 if name == '4a' else 4}")(x)
            x = self.get_submodule(f"inception{name}")(x)
        x = torch.flatten(self.avgpool(x), 1)
        out: Tensor = self.fc(self.dropout(x))
        return out


def googlenet() -> GoogLeNet:
    return GoogLeNet()


def googlenet_32() -> GoogLeNet:
    return GoogLeNet(width=0.25, channels=1, classes=10, small=True)
