"""Residual networks (He et al., 2015), with the stride on the 3x3 convolution ("v1.5")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x)) + shortcut
        out: Tensor = self.relu(x)
        return out


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(inputs, width * 4, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x)) + shortcut
        out: Tensor = self.relu(x)
        return out


class ResNet(nn.Module):
    """Input [N, C, H, W], output [N, classes].

    `small` is the CIFAR form (section 4.2 of the paper): a 3x3 stem at stride 1 and no max-pool.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        *,
        strides: Sequence[int] = (1, 2, 2, 2),
        width: int = 64,
        channels: int = 3,
        classes: int = 1000,
        small: bool = False,
    ) -> None:
        super().__init__()
        stem = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, width, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = width
        for i, (depth, stride) in enumerate(zip(depths, strides, strict=True)):
            outputs = width * 2**i
            blocks = [block(inputs, outputs, stride)]
            inputs = outputs * block.expansion
            blocks += [block(inputs, outputs, 1) for _ in range(depth - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(1, 5):
            x = self.get_submodule(f"layer{i}")(x)
        out: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return out


def resnet18() -> ResNet:
    return ResNet(BasicBlock, (2, 2, 2, 2))


def resnet18_32() -> ResNet:
    # The first stage halves the picture: blocks at 32x32 would take most of the training's time.
    return ResNet(
        BasicBlock, (2, 2, 2, 2), strides=(2, 2, 2, 1), width=16, channels=1, classes=10, small=True
    )


def resnet50() -> ResNet:
    return ResNet(Bottleneck, (3, 4, 6, 3))


def resnet50_32() -> ResNet:
    return ResNet(
        Bottleneck, (3, 4, 6, 3), strides=(2, 2, 2, 1), width=16, channels=1, classes=10, small=True
    )
