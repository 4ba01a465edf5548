"""VGG16 with batch norm (Simonyan and Zisserman, 2014; configuration D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, convolutions) before each max-pool


class Vgg16(nn.Module):
    """Input [N, C, H, W], output [N, classes]. `pooled`: side of the classifier's input."""

    def __init__(
        self,
        *,
        width: float = 1.0,
        hidden: int = 4096,
        pooled: int = 7,
        channels: int = 3,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage, convolutions in _STAGES:
            outputs = int(stage * width)
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(channels, outputs, 3, 1, 1),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(inplace=True),
                ]
                channels = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = nn.Sequential(
            nn.Linear(channels * pooled * pooled, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        out: Tensor = self.classifier(torch.flatten(x, 1))
        return out


def vgg16() -> Vgg16:
    return Vgg16()


def vgg16_32() -> Vgg16:
    return Vgg16(width=0.25, hidden=256, pooled=1, channels=1, classes=10)
