"""Whole fp32 networks whose every contraction is a kernel, against the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiled import GetNetwork, images
from quantune.backend import emulation
from quantune.backend.compiler import compile_module, kernel_target
from quantune.backend.pipeline import fp32
from quantune.backend.runner import EmulatedArmRunner, HostRunner
from quantune.job.modules import lowered
from quantune.reference import execute_float
from quantune.targets import get

TOLERANCE = 1e-4
"""Of the largest value: sums of a few thousand products, taken in another order, layer after layer."""


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("resnet18@32", "host"),
        ("mobilenet_v2@32", "host"),
        ("squeezenet@32", "host"),
        ("shufflenet_v2@32", "x86-64-avx2"),
        ("mobilenet_v2@32", "x86-64-avx2"),
        ("mobilenet_v2@32", "cortex-a53"),
    ],
)
def test_every_contraction_is_a_kernel_and_right(
    network: GetNetwork, tmp_path: Path, name: str, target: str
) -> None:
    chosen, model = get(target), network(name).model
    emulated = chosen.architecture != get("host").architecture
    missing = emulation.available() if emulated else None
    if missing is not None or not (emulated or (chosen.runs_here and chosen.kernel_isas)):
        pytest.skip(missing or f"this processor cannot run {target}'s kernels")
    source, reports = lowered(model, fp32(kernel_target(chosen)))
    choices = reports["select-kernels"]["choices"]
    for layer in model.graph.contractions:
        family = "fdepthwise" if layer.kind == "depthwise_conv2d" else "fconv"
        assert choices[layer.name].startswith(f"kernel {family} for "), (layer.name, choices[layer.name])
    for layer in model.graph.layers:
        if layer.kind == "max_pool":
            assert choices[layer.name].startswith("kernel fmaxpool for "), choices[layer.name]
    compile_module(source, tmp_path / "network.vmfb", chosen)
    runner = EmulatedArmRunner if emulated else HostRunner
    image = images(model.input_shape)[0]
    found = runner(tmp_path / "network.vmfb").run([image])
    expected = execute_float(model.graph, {"input": image})
    for value, output in zip(found, model.graph.outputs, strict=True):
        assert np.abs(value - expected[output]).max() <= TOLERANCE * np.abs(expected[output]).max()
