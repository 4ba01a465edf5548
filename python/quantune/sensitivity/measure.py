"""Inference 2: the quantized network with float twins, instrumented, over the same calibration set.

Probes (`sensitivity.probes`) run along with it.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from quantune.backend.runner import Runner
from quantune.calibration.statistics import Statistics, sample_indices
from quantune.data.dataset import Dataset
from quantune.graph.model import Graph, Layer
from quantune.numerics import dequantize, quantize, quantize_weights
from quantune.plan.finish import layer_scales
from quantune.plan.schema import Plan
from quantune.plan.settings import Settings
from quantune.progress import Progress, track
from quantune.sensitivity.metrics import Noise, noise_of
from quantune.sensitivity.probes import Probes, narrowed
from quantune.sensitivity.result import LayerSensitivity, Sensitivity

WEIGHT_BITS = (8, 7, 6, 5, 4, 3, 2)
TWIN = "/float"


def measure(
    runner: Runner,
    names: list[str],
    dataset: Dataset,
    graph: Graph,
    plan: Plan,
    statistics: Statistics,
    progress: Progress,
    probes: Probes | None = None,
) -> Sensitivity:
    """Runs every image once through the quantized module that `plan` (uniform int8) makes.

    The module returns every layer's value and, for contractions, what float arithmetic makes of the same
    inputs. The difference of the two is local; the difference from the float run's samples is accumulated.

    probes: run along, on what the module returned for each picture.
    """
    local: dict[str, Noise] = {}
    accumulated: dict[str, Noise] = {}
    for index, sample in enumerate(track(dataset, "analysing: quantized run", len(dataset), progress)):
        values = dict(zip(names, runner.run([sample.image]), strict=True))
        for name, value in values.items():
            if name.endswith(TWIN):
                layer = name.removesuffix(TWIN)
                local.setdefault(layer, Noise()).add(value, values[layer])
            elif name in statistics.samples:
                flat = value.reshape(-1)[sample_indices(name, value.size)]
                accumulated.setdefault(name, Noise()).add(statistics.samples[name][index], flat)
        if probes is not None:
            probes.add(index, sample.image, {layer.name: values[layer.name] for layer in graph})
    output = Noise()
    for name in graph.outputs:
        output.signal += accumulated[name].signal
        output.noise += accumulated[name].noise
    layers = {
        la.name: _layer(la, plan, statistics, local.get(la.name), accumulated.get(la.name)) for la in graph
    }
    weights = {name: layer.weight_nsr for name, layer in layers.items() if layer.weight_nsr}
    for name, added in narrowed(weights, {} if probes is None else probes.found).items():
        layers[name] = dataclasses.replace(layers[name], added_nsr=added)
    return Sensitivity(
        images=len(dataset),
        passes=2,
        probes=0 if probes is None else sum(map(len, probes.found.values())),
        output_nsr=output.nsr,
        layers=layers,
    )


def _layer(
    layer: Layer, plan: Plan, statistics: Statistics, local: Noise | None, accumulated: Noise | None
) -> LayerSensitivity:
    widths = WEIGHT_BITS if layer.weight is not None else ()
    by_bits = {bits: weight_noise(layer, bits, plan.settings) for bits in widths}
    activation = None
    output = plan.layers[layer.name].output
    if output is not None and layer.name in statistics.samples:
        exact = statistics.samples[layer.name]
        activation = noise_of(exact, dequantize(quantize(exact, output), output))
    return LayerSensitivity(
        weight_nsr={bits: noise.nsr for bits, noise in by_bits.items()},
        weight_mse={bits: noise.mse for bits, noise in by_bits.items()},
        activation_sqnr_db=_sqnr_db(activation),
        activation_mse=_mse(activation),
        local_nsr=None if local is None else local.nsr,
        local_sqnr_db=_sqnr_db(local),
        local_mse=_mse(local),
        accumulated_sqnr_db=_sqnr_db(accumulated),
        accumulated_mse=_mse(accumulated),
    )


def _sqnr_db(noise: Noise | None) -> float | None:
    return None if noise is None else noise.sqnr_db


def _mse(noise: Noise | None) -> float | None:
    return None if noise is None else noise.mse


def weight_noise(layer: Layer, bits: int, settings: Settings) -> Noise:
    """What quantizing the layer's weights to `bits` changes in them."""
    assert layer.weight is not None
    scales = layer_scales(layer, bits, settings)
    exact = layer.weight.astype(np.float64)
    return noise_of(exact, quantize_weights(layer.weight, scales, bits) * scales)
