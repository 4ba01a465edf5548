"""What the oracle and the sensitivity study share: a zoo model, its int8 plan, and pictures to judge by."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from quantune.data import Dataset
from quantune.graph.model import Graph
from quantune.job.data import pictures_for
from quantune.job.imports import import_model
from quantune.job.job import Job
from quantune.plan.schema import Plan
from quantune.plan.strategies import Request, uniform
from quantune.progress import Silent
from quantune.targets import get

MODELS = (
    *("squeezenet", "vgg16", "resnet18", "mobilenet_v1"),
    *("mobilenet_v2", "shufflenet_v2", "googlenet", "resnet50"),
)
DATA = "fashion-mnist"


@dataclass(frozen=True)
class Pictures:
    """images: f32 [N, C, H, W]. labels: [N]."""

    images: NDArray[np.float32]
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.images.tobytes() + self.labels.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Setting:
    """A calibrated model. base: uniform int8, what narrower weights are compared with."""

    name: str
    trained: bool
    job: Job
    request: Request
    base: Plan

    @property
    def graph(self) -> Graph:
        return self.request.graph

    def uniform(self, bits: int) -> Plan:
        """`base` with all weights of one width."""
        layers = {layer.name: uniform.choice(self.request, layer, bits) for layer in self.graph}
        return dataclasses.replace(self.base, layers=layers)

    def narrowed(self, name: str, bits: int) -> Plan:
        """`base` but for one layer's weights."""
        choice = uniform.choice(self.request, self.graph.layer(name), bits)
        return dataclasses.replace(self.base, layers={**self.base.layers, name: choice})


def prepare(name: str, folder: Path, images: int, calibration: int) -> tuple[Setting, Pictures]:
    """The zoo's `name` at 32x32, calibrated on training pictures, and others to judge by."""
    model = import_model(f"zoo:{name}@32", None, None, folder / "cache", Silent())
    everything = pictures_for(model, DATA, split="train")
    seen = everything.limited(calibration)
    job = Job(model, get("host"), folder, seen)
    quantizations = job.quantizations(job.statistics())
    request = Request(model.name, model.graph, job.target.name, quantizations)
    setting = Setting(name, model.trained, job, request, uniform.plan(request))
    return setting, _others(everything, seen, images)


def _others(everything: Dataset, seen: Dataset, count: int) -> Pictures:
    """`count` pictures, spread evenly, none of which is among `seen`."""
    images, labels = everything.without(seen.names).limited(count).stacked()
    return Pictures(images, torch.tensor(labels))
