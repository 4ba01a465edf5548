"""Pieces that several architectures share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def round_channels(channels: float, divisor: int = 8) -> int:
    """Rounds to a multiple of `divisor`, never more than 10 % down (MobileNetV2, section 4)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


class ConvBnRelu6(nn.Sequential):
    """Convolution "0" without bias, batch norm "1", ReLU6 "2"; keeps the size at stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(size / stride) outputs, the odd pixel at the end.

    Follows the rule in tf.nn.convolution's documentation. Needs static shapes; where the padding is even
    on both sides, it stays inside the convolution.
    """

    def forward(self, input: Tensor) -> Tensor:
        pads = [_same_padding(input.shape[i + 2], self.kernel_size[i], self.stride[i]) for i in (0, 1)]
        (top, bottom), (left, right) = pads
        if (top, left) == (bottom, right):
            return F.conv2d(
                input, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups
            )
        padded = F.pad(input, (left, right, top, bottom))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class CeilMaxPool2d(nn.Module):
    """Max-pool whose last window may hang over the edge, as nn.MaxPool2d(ceil_mode=True) without padding.

    The stride must not exceed the kernel: otherwise torch drops a window that lies wholly outside.

    Written out with static shapes, because torch-mlir pads every ceil_mode pool by a whole stride, needed
    or not, and such padding is hard to tell from the network's own. ONNX gets the operator's own ceil_mode:
    quantizers there cannot give an infinite padding a range.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return F.max_pool2d(x, self.kernel, self.stride, ceil_mode=True)
        bottom, right = ((self.kernel - size) % self.stride for size in x.shape[2:])
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), value=float("-inf"))
        return F.max_pool2d(x, self.kernel, self.stride)


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
