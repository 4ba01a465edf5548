"""A network with grouped convolutions, as ResNeXt has them, from torch to the compiled module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from compiled import CHEAP, Network, compile_plan, images, mixed_plan, ranges
from quantune.backend import pipeline
from quantune.backend.compiler import BEST_FLAGS, compile_module, kernel_target
from quantune.backend.runner import HostRunner
from quantune.ingress.load import load_model
from quantune.job.modules import lowered
from quantune.reference import execute
from quantune.targets import get

SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, channels, groups, stride):
        super().__init__()
        self.reduce = nn.Conv2d(channels, 16, 1)
        self.conv = nn.Conv2d(16, 32, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.expand = nn.Conv2d(32, 24, 1, groups=2)
        self.skip = nn.Conv2d(channels, 24, 1, stride=stride)

    def forward(self, x):
        z = self.skip(x)
        y = torch.relu(self.norm(self.conv(torch.relu(self.reduce(x)))))
        return torch.relu(self.expand(y) + z)

def make():
    torch.manual_seed(0)
    # the reshapes that split and join groups merge with each other and with the flattening
    merging = nn.Conv2d(24, 16, 1, groups=4), nn.Conv2d(16, 12, 1, groups=4), nn.Flatten()
    tail = nn.AdaptiveAvgPool2d(1), *merging, nn.Linear(12, 10)
    net = nn.Sequential(Block(3, 4, 2), Block(24, 8, 1), *tail)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1), module.running_var.uniform_(0.5, 2)
    return net.eval()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Network:
    file = tmp_path_factory.mktemp("grouped") / "net.py"
    file.write_text(SOURCE)
    model = load_model(f"{file}:make", input_shape=(3, 14, 14))
    return Network(model, ranges(model.graph, images(model.input_shape)[:1]))


def test_groups_are_layers_like_others(found: Network) -> None:
    groups = {la.name: la.attributes.get("groups", 1) for la in found.graph.contractions}
    assert groups["0.conv"] == 4 and groups["1.conv"] == 8 and groups["0.expand"] == 2 and groups["6"] == 1
    assert groups["3"] == groups["4"] == 4
    assert not [la.name for la in found.graph if la.kind == "opaque"]
    assert all(la.bias is not None for la in found.graph.contractions)
    conv = found.graph.layer("1.conv")
    assert conv.weight is not None and conv.weight.shape == (3, 3, 2, 32)
    assert conv.bias is not None and conv.clamp == (0.0, np.inf)  # the batch norm is folded
    assert found.graph.layer("0.expand").residual


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "generated"])
def test_integers_equal_the_reference(found: Network, tmp_path: Path, kernels: bool) -> None:
    plan, host = mixed_plan(found), get("host")
    flags = BEST_FLAGS if kernels else CHEAP
    runner = HostRunner(compile_plan(found.model, plan, host, tmp_path / "net.vmfb", flags, kernels))
    for image in images(found.model.input_shape):
        done = execute(found.graph, plan, {"input": image})
        np.testing.assert_array_equal(runner.run([image])[0], done[found.graph.outputs[0]])


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "generated"])
def test_floats_equal_torch(found: Network, tmp_path: Path, kernels: bool) -> None:
    host = get("host")
    source, _ = lowered(found.model, pipeline.fp32(kernel_target(host) if kernels else pipeline.NO_KERNELS))
    runner = HostRunner(compile_module(source, tmp_path / "net.vmfb", host, CHEAP).path)
    space: dict[str, object] = {}
    exec(SOURCE, space)
    net = space["make"]()  # type: ignore[operator]
    for image in images(found.model.input_shape):
        with torch.no_grad():
            expected = net(torch.from_numpy(image)).numpy()
        largest = np.abs(expected).max()
        np.testing.assert_allclose(runner.run([image])[0], expected, rtol=0, atol=1e-5 * largest)
