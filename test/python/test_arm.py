"""64-bit Arm under emulation: the same networks and groups, the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import ALL_KINDS
from compiled import GetNetwork, images, mixed_plan
from groups import check, write
from quantune.backend import emulation
from quantune.backend.compiler import BEST_FLAGS, compile_module, executable_target
from quantune.backend.pipeline import NO_KERNELS
from quantune.backend.runner import EmulatedArmRunner
from quantune.job.modules import lowered, quantizing
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.reference import execute
from quantune.targets import get

pytestmark = pytest.mark.skipif(emulation.available() is not None, reason=emulation.available() or "")

EMULATED = {
    "cortex-a53": "cortex-a53",
    "cortex-a55": "max",
    "cortex-a72": "cortex-a72",
    "neoverse-n2": "max",
}
"""Target → qemu's processor, so that an instruction the target lacks crashes; qemu before 8.1 has no A55."""
NETWORKS = (
    ("resnet18@32", "cortex-a53"),
    ("mobilenet_v2@32", "cortex-a72"),
    ("squeezenet@32", "cortex-a72"),
    ("shufflenet_v2@32", "cortex-a72"),
    ("resnet18@32", "cortex-a55"),
    ("shufflenet_v2@32", "cortex-a55"),
    ("resnet18@32", "neoverse-n2"),
    ("mobilenet_v2@32", "neoverse-n2"),
)


@pytest.mark.parametrize(("name", "target"), NETWORKS)
def test_all_integer_network_equals_the_reference(
    network: GetNetwork, tmp_path: Path, name: str, target: str
) -> None:
    found = network(name)
    plan = mixed_plan(found)
    source, reports = lowered(found.model, quantizing(plan, get(target), kernels=True))
    choices = reports["select-kernels"]["choices"]
    family = {
        layer.name: "qdepthwise" if "depthwise" in layer.kind else "qconv"
        for layer in found.graph.contractions
    }
    isa = {"qconv": get(target).kernel_isas[0], "qdepthwise": "neon"}
    for layer, kind in family.items():
        assert choices[layer] == f"kernel {kind} for {isa[kind]}"
    module = tmp_path / "network.vmfb"
    compile_module(source, module, get(target))
    runner = EmulatedArmRunner(module, cpu=EMULATED[target])
    for image in images(found.model.input_shape)[:2]:
        done = execute(found.graph, plan, {"input": image})
        for value, output in zip(runner.run([image]), found.graph.outputs, strict=True):
            np.testing.assert_array_equal(value, done[output])


GROUPS = (
    *(("cortex-a53", isa) for isa in ("", "neon")),
    *(("cortex-a55", isa) for isa in ("", "dotprod")),
    ("neoverse-n2", "i8mm"),
    ("cortex-a72", "portable"),
)


@pytest.mark.parametrize(("target", "isa"), GROUPS)
def test_groups_of_every_kind_equal_the_reference(tmp_path: Path, target: str, isa: str) -> None:
    """With the flags that modules ship with; all kernels and none."""
    isas = {"": (), "dotprod": ("dotprod", "neon"), "i8mm": ("i8mm", "dotprod", "neon")}.get(isa, (isa,))
    kernels = KernelTarget(isas, executable_target(get(target))) if isas else NO_KERNELS
    written = write(ALL_KINDS, kernels)
    compile_module(written.source, tmp_path / "groups.vmfb", get(target), BEST_FLAGS)
    check(written, EmulatedArmRunner(tmp_path / "groups.vmfb", cpu=EMULATED[target]))
