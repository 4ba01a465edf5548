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
from quantune.ingress.load import load_model
from quantune.ingress.model import Model
from quantune.job.modules import lowered
from quantune.passes.ukernels.geometry import Geometry
from quantune.passes.ukernels.pack_fconv import Finish, pack_fconv
from quantune.passes.ukernels.params import fields
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
    model = network(name).model
    choices = compiled_right(model, target, tmp_path)
    for layer in model.graph.contractions:
        family = "fdepthwise" if layer.kind == "depthwise_conv2d" else "fconv"
        assert choices[layer.name].startswith(f"kernel {family} for "), (layer.name, choices[layer.name])
    for layer in model.graph.layers:
        if layer.kind == "max_pool":
            assert choices[layer.name].startswith("kernel fmaxpool for "), choices[layer.name]


@pytest.mark.parametrize(
    ("name", "target"),
    [("squeezenet", "host"), ("resnet18", "x86-64-avx2"), ("squeezenet", "cortex-a53")],
)
def test_a_large_convolution_pools_at_once(tmp_path: Path, name: str, target: str) -> None:
    """The first one, of 96x96 pictures; with padding (ResNet18) and without."""
    model = load_model(f"zoo:{name}", None, (3, 96, 96), tmp_path)
    choices = compiled_right(model, target, tmp_path)
    first, pool = (
        next(la.name for la in model.graph.layers if la.kind == kind) for kind in ("conv2d", "max_pool")
    )
    assert choices[first].endswith(f", which pools for {pool}")
    assert choices[pool].endswith(f", that of {first}")


SHALLOW = """
import torch
from torch import nn


class Shallow(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 1)
        self.wide, self.wider = nn.Conv2d(64, 256, 1), nn.Conv2d(64, 256, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        y = self.wider(torch.relu(self.second(x)))
        return torch.relu(self.wide(x) + y).mean((2, 3))


def shallow():
    return Shallow().eval()
"""


def test_a_shallow_layer_with_many_results_is_right(tmp_path: Path) -> None:
    """A result of 1 MB, with a residual and without."""
    (tmp_path / "shallow.py").write_text(SHALLOW)
    model = load_model(f"{tmp_path / 'shallow.py'}:shallow", None, (3, 33, 33), tmp_path)
    choices = compiled_right(model, "host", tmp_path)
    assert sum("kernel fconv for " in choice for choice in choices.values()) == 4


def test_few_rows_come_first_where_all_weights_are_few() -> None:
    for filters, size, first in ((256, 56, False), (256, 14, False), (2048, 56, False), (32, 56, True)):
        geometry = Geometry(size, size, 64, (1, 1), (1, 1), (1, 1), size, size, filters)
        blob, _ = pack_fconv("avx512", geometry, np.ones((64, filters), np.float32), Finish())
        header = dict(zip(fields("fconv"), np.frombuffer(blob, "<i4"), strict=False))
        assert header["tiles_inner"] == first, (filters, size)


def compiled_right(model: Model, target: str, folder: Path) -> dict[str, str]:
    """What select-kernels chose; skips where the target's kernels cannot be run."""
    chosen = get(target)
    emulated = chosen.architecture != get("host").architecture
    missing = emulation.available() if emulated else None
    if missing is not None or not (emulated or (chosen.runs_here and chosen.kernel_isas)):
        pytest.skip(missing or f"this processor cannot run {target}'s kernels")
    source, reports = lowered(model, fp32(kernel_target(chosen)))
    compile_module(source, folder / "network.vmfb", chosen)
    runner = EmulatedArmRunner if emulated else HostRunner
    image = images(model.input_shape)[0]
    found = runner(folder / "network.vmfb").run([image])
    expected = execute_float(model.graph, {"input": image})
    for value, output in zip(found, model.graph.outputs, strict=True):
        assert np.abs(value - expected[output]).max() <= TOLERANCE * np.abs(expected[output]).max()
    return dict(reports["select-kernels"]["choices"])
