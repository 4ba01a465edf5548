"""Layer by layer through the float network and the quantized one at once, mending the latter.

What a layer of the quantized network reads has passed through all mended layers before it, so each makes up
for what is left of their errors as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantune.data.dataset import Dataset
from quantune.errors import QuantuneError
from quantune.graph.model import Graph, Layer
from quantune.numerics import layer_weights
from quantune.plan.boundaries import integer_values, is_integer
from quantune.plan.schema import Plan, Quantization
from quantune.plan.settings import Settings
from quantune.progress import Progress, track
from quantune.reference.torch_graph import TorchGraph, to_kernel, unsupported
from quantune.repair.bias_correction.correction import correction
from quantune.repair.learned_rounding.rounding import learn
from quantune.repair.repairs import Constants, Repairs

IMAGES = 256
BYTES = 1 << 28
"""Of the largest value over all images: large pictures make do with fewer."""
NO_CLAMP = (-np.inf, np.inf)


def mend(graph: Graph, plan: Plan, settings: Settings, dataset: Dataset, progress: Progress) -> Repairs:
    """What bias correction and learned rounding, as `settings` say, make of a plan's integer layers.

    Runs on at most IMAGES calibration images without their labels. Weights come back on the plan's grid.
    Layers that cannot run in batches, and what comes after them, stay as they are; a note says so.

    Raises QuantuneError for an empty data set.
    """
    if not len(dataset):
        raise QuantuneError(f"the calibration set is empty ({dataset.description}); give at least one image")
    runnable, reason = _runnable(graph)
    walk = _Walk(runnable, plan, settings, dataset)
    if left := len(graph.contractions) - len(runnable.contractions):
        progress.note(f"{left} of {len(graph.contractions)} layers are not mended: {reason}")
    with torch.no_grad():
        for layer in track(walk.graph.layers, "mending layer by layer", len(graph.layers), progress):
            walk.step(layer)
    return Repairs(walk.found, walk.report())


@dataclass
class _Record:
    """What happened to one layer."""

    bias_change: float = 0.0
    bias_seconds: float = 0.0
    losses: tuple[float, float] = (0.0, 0.0)
    flipped: float = 0.0
    rounding_seconds: float = 0.0


class _Walk:
    """Both networks' values that are still to be read, as their layers deliver them."""

    def __init__(self, graph: Graph, plan: Plan, settings: Settings, dataset: Dataset) -> None:
        # every contraction has a bias that can take something over
        self.graph = replace(graph, layers=tuple(_with_bias(layer) for layer in graph))
        self.plan, self.settings = plan, settings
        self.stored = integer_values(graph, plan)
        self.exact_network, self.noisy_network = TorchGraph(self.graph), TorchGraph(self.graph)
        images = _images(graph, dataset)
        self.images = len(images)
        self.exact = dict.fromkeys(graph.inputs, images)
        self.noisy = dict.fromkeys(graph.inputs, images)
        self.last_reader = {value: layer.name for layer in graph for value in layer.inputs}
        self.found: dict[str, Constants] = {}
        self.records: dict[str, _Record] = {}

    def step(self, layer: Layer) -> None:
        """Mends the layer, then executes it in both networks."""
        integer = is_integer(layer, self.plan)
        exact = [self.exact[name] for name in layer.inputs]
        noisy = [self.noisy[name] for name in layer.inputs]
        if integer:
            noisy = [_rounded(x, self.stored[name]) for x, name in zip(noisy, layer.inputs, strict=True)]
        open_ended = replace(layer, clamp=NO_CLAMP)
        mended = integer and layer.is_contraction
        if mended:
            self.records[layer.name] = _Record()
            weight = self._weight(layer, exact[0], noisy[0])
            self.noisy_network.kernel(layer.name).copy_(to_kernel(replace(layer, weight=weight)))
        wanted = self.exact_network.execute(open_ended, exact)
        got = self.noisy_network.execute(open_ended, noisy)
        if mended:
            got = self._bias(layer, weight, wanted, got)
        self.exact[layer.name] = torch.clamp(wanted, *layer.clamp)
        got = torch.clamp(got, *layer.clamp)
        known = integer and layer.name in self.stored
        self.noisy[layer.name] = _rounded(got, self.stored[layer.name]) if known else got
        for name in set(layer.inputs):
            if self.last_reader[name] == layer.name:
                del self.exact[name], self.noisy[name]

    def _weight(self, layer: Layer, exact: Tensor, noisy: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The layer's weight on its grid, rounded to the nearest or learned."""
        choice = self.plan.layers[layer.name]
        stored, scales = layer_weights(layer, choice)
        nearest = (stored * scales).astype(np.float32)
        if self.settings.rounding == "nearest":
            return nearest
        begun = time.perf_counter()
        weight, after, before = learn(layer, scales, choice.weight_bits or 8, exact, noisy)
        record = self.records[layer.name]
        record.losses, record.flipped = (before, after), float(np.mean(weight != nearest))
        record.rounding_seconds = time.perf_counter() - begun
        return weight

    def _bias(self, layer: Layer, weight: Any, wanted: Tensor, got: Tensor) -> Tensor:
        """The quantized layer's sums, their mean error taken out; keeps what was found."""
        record = self.records[layer.name]
        assert layer.bias is not None
        learned = weight if self.settings.rounding == "learned" else None
        if not self.settings.bias_correction:
            self.found[layer.name] = Constants(learned)
            return got
        begun = time.perf_counter()
        error = correction(wanted, got, layer.clamp)
        bias = layer.bias + error.numpy()
        self.found[layer.name] = Constants(learned, bias)
        record.bias_change, record.bias_seconds = float(error.abs().max()), time.perf_counter() - begun
        return got + error.reshape(1, -1, *[1] * (got.dim() - 2))

    def report(self) -> dict[str, dict[str, Any]]:
        """What each method did."""
        records, found = self.records, dict[str, dict[str, Any]]()
        if self.settings.rounding == "learned":
            found["rounding"] = {
                "images": self.images,
                "layers": {
                    name: {"loss_nearest": r.losses[0], "loss": r.losses[1], "flipped": round(r.flipped, 4)}
                    for name, r in records.items()
                },
                "seconds": round(sum(r.rounding_seconds for r in records.values()), 3),
            }
        if self.settings.bias_correction:
            found["bias_correction"] = {
                "images": self.images,
                "layers": len(records),
                "largest_change": max((r.bias_change for r in records.values()), default=0.0),
                "seconds": round(sum(r.bias_seconds for r in records.values()), 3),
            }
        return found


def _runnable(graph: Graph) -> tuple[Graph, str]:
    """The layers that can run in batches and read only such, and why the first other one cannot."""
    known, kept, reasons = {*graph.inputs}, list[Layer](), list[str]()
    for layer in graph:
        if reason := unsupported(layer):
            reasons.append(reason)
        elif known.issuperset(layer.inputs):
            kept.append(layer)
            known.add(layer.name)
    return replace(graph, layers=tuple(kept)), (reasons or [""])[0]


def _with_bias(layer: Layer) -> Layer:
    if layer.weight is None or layer.bias is not None:
        return layer
    return replace(layer, bias=np.zeros(layer.weight.shape[-1], np.float32))


def _images(graph: Graph, dataset: Dataset) -> Tensor:
    """Calibration images, as many as memory and patience allow."""
    largest = max(4 * int(np.prod(layer.output_shape)) for layer in graph)
    chosen = dataset.limited(max(1, min(IMAGES, BYTES // largest)))
    images = torch.tensor(np.concatenate([sample.image for sample in chosen]))
    return (
        images.permute(0, 3, 1, 2) if images.dim() == 4 else images
    )  # as TorchGraph sees what has four axes


def _rounded(x: Tensor, quantization: Quantization) -> Tensor:
    """Stored and read again."""
    q = torch.round(x * (1 / quantization.scale) + quantization.zero_point)
    return (torch.clamp(q, 0, quantization.maximum) - quantization.zero_point) * quantization.scale
