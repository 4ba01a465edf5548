"""Where the time of a module goes, dispatch by dispatch.

IREE's own profiler stamps every dispatch of the very module that is deployed, in its place in the network
and with the caches as they are there; it takes a second for ResNet18, and the sum is near the latency.
The other way, `--iree-hal-dump-executable-benchmarks-to`, compiles every dispatch again to time it by itself.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np

from quantune.backend import device, process
from quantune.backend.signature import TensorType
from quantune.errors import QuantuneError


@dataclass(frozen=True)
class DispatchTime:
    """One kernel: microseconds of an inference that go to it, over all its `calls`, and what it does.

    `name` is its symbol. That of generated code, such as main_dispatch_7_matmul_like_64x3136x576_f32, says in
    the part `operation` what it computes, on which shape; that of a microkernel, layer1.0.conv1$qconv_avx2,
    says for which `layer`.
    """

    name: str
    microseconds: float
    calls: int

    @property
    def layer(self) -> str | None:
        found = re.fullmatch(r"(.+)\$(?!async_dispatch_)\w+", self.name)
        return found[1] if found else None

    @property
    def operation(self) -> str:
        return re.sub(r"^.*?(?:dispatch|_encoding)_\d+_", "", self.name)


def time_dispatches(
    vmfb: Path, inputs: Sequence[np.ndarray] | None = None, iterations: int = 10, timeout: float = 120.0
) -> list[DispatchTime]:
    """Profiles `iterations` inferences on one thread; the costliest kernel comes first.

    Without `inputs`, made-up values are used. What runs only once, when the module is loaded, does not count.
    Raises QuantuneError when the module does not load or run here.
    """
    _, _, signature = device.function(vmfb, "main")
    arrays = [_values(t) for t in signature.inputs] if inputs is None else signature.check(inputs, str(vmfb))
    with tempfile.TemporaryDirectory(prefix="quantune-") as name:
        folder = Path(name)
        profile = folder / "profile.ireeprof"
        command: list[str | Path] = [
            _tool("iree-benchmark-module"),
            f"--module={vmfb}",
            "--function=main",
            "--module_mode=preload",
        ]
        for index, array in enumerate(arrays):
            np.save(folder / f"in{index}.npy", array)
            command.append(f"--input=@{folder}/in{index}.npy")
        command += [
            "--device=local-sync",
            *(f"--device_allocator={allocator}" for allocator in device.ALLOCATORS),
            f"--benchmark_min_time={iterations}x",
            "--device_profiling_mode=host-execution,executable-metadata",
            f"--device_profiling_output={profile}",
        ]
        _call(command, folder, f"profiling {vmfb}", timeout)
        report: list[str | Path] = [
            _tool("iree-profile"),
            "dispatch",
            "--dispatch_events",
            "--format=jsonl",
            profile,
        ]
        _call(report, folder, f"reading the profile of {vmfb}", timeout)
        with (folder / "stdout").open() as stream:
            return _aggregate((json.loads(line) for line in stream), iterations)


def _aggregate(records: Iterator[dict[str, Any]], iterations: int) -> list[DispatchTime]:
    """Sums each kernel's calls of an inference, and takes the median over inferences.

    The median, since the first inference also pays for mapping the weights into memory.
    """
    microseconds: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record["type"] == "host_dispatch_event" and record["valid"]:
            microseconds[record["key"]].append(record["duration_ns"] / 1e3)
    times = []
    for name, events in microseconds.items():
        calls = len(events) // iterations
        if calls > 0:
            # Dispatches run in the same order in every inference; those of loading come before all others.
            inferences = (
                np.array(events[len(events) - calls * iterations :]).reshape(iterations, calls).sum(axis=1)
            )
            times.append(DispatchTime(name, float(np.median(inferences)), calls))
    return sorted(times, key=lambda time: -time.microseconds)


def _values(tensor: TensorType) -> np.ndarray:
    """Normal floats and small integers: zeros and denormals would change the speed of some kernels."""
    generator = np.random.default_rng(0)
    if tensor.dtype.kind == "f":
        return generator.standard_normal(tensor.shape).astype(tensor.dtype)
    return generator.integers(0, 2, tensor.shape).astype(tensor.dtype)


def _tool(name: str) -> Path:
    # The programs lie beside the runtime's extension module.
    return Path(rt._binding.__file__).parent / name


def _call(command: Sequence[str | Path], folder: Path, what: str, timeout: float) -> None:
    outcome = process.run(command, folder / "stdout", folder / "stderr", timeout)
    if outcome.timed_out:
        raise QuantuneError(f"{what} took more than {timeout:g} s and was stopped")
    if outcome.returncode != 0:
        lines = (folder / "stderr").read_text(errors="replace").strip().splitlines()
        raise QuantuneError(f"{what} failed: {lines[0][:300] if lines else outcome.returncode}")
