"""A small network of every kind of layer that training of bits knows, and how the tests train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantune.amed.settings import TrainingSettings
from quantune.amed.train import Trained, train_bits
from quantune.data.sources import load_dataset
from quantune.job import Job
from quantune.job.folder import JobOptions, start_job
from quantune.plan.budget import parse_budgets
from quantune.progress import Silent

NET = """
import torch
from torch import nn

INPUT_SHAPE = (1, 8, 8)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        deep = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.deep = nn.Sequential(deep, nn.BatchNorm2d(8), nn.ReLU6())
        self.point = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.side = nn.Conv2d(8, 4, 1)
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.point(self.deep(x))
        x = torch.cat([x, torch.relu(self.side(x))], 1)
        return self.fc(torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

def make():
    net = Net()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.bias)
    return net
"""
MENU = (2, 3, 4, 8)


def small_job(folder: Path) -> Job:
    """The network in `folder`/net.py, and three kinds of pictures in `folder`/data.npz."""
    (folder / "net.py").write_text(NET)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 96)
    images = generator.normal(size=(96, 1, 8, 8)).astype(np.float32)
    images += (labels - 1).reshape(-1, 1, 1, 1)  # brightness says the class
    np.savez(folder / "data.npz", images=images, labels=labels)
    asked = JobOptions(f"{folder / 'net.py'}:make", str(folder / "data.npz"), images=8, costs="modelled")
    return start_job(asked, folder / "job", Silent())


def settings(**changes: Any) -> TrainingSettings:
    small: dict[str, Any] = {"epochs": 6.0, "batch": 16, "interval": 4, "proposals": 3, "rate": 0.02}
    small |= {"distill": 0.0}  # the network is untrained: in float it has nothing to teach
    return TrainingSettings(MENU, **(small | changes))


def trained(job: Job, folder: Path, limits: Sequence[str] = ("bits=3",), **changes: Any) -> Trained:
    data = load_dataset(str(job.folder.parent / "data.npz"), None, (1, 8, 8))
    return train_bits(job, data, parse_budgets(limits), settings(**changes), folder)
