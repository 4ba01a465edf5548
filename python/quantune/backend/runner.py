"""Running a compiled module on arrays, here or on an emulated Arm processor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from quantune.backend import device, emulation, process, signature
from quantune.errors import QuantuneError


class Runner(Protocol):
    """Whatever runs a module: arrays of the module's input types in, arrays of its output types out."""

    signature: signature.Signature

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]: ...


class HostRunner:
    """Runs `name` of a module in this process; the module stays in memory, so further runs cost no loading.

    Raises QuantuneError when the file is missing or damaged, and for inputs that do not fit.
    """

    def __init__(self, vmfb: Path, threads: int = 1, name: str = "main") -> None:
        self._loaded = device.Loaded(vmfb, threads, name)
        self.signature = self._loaded.signature

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        arguments = self._loaded.upload(inputs)
        try:
            results = self._loaded.call(arguments)
        except RuntimeError as error:
            raise QuantuneError(f"{self._loaded.label} failed while running: {error}") from error
        return self._loaded.download(results)


def least_seconds(runner: Runner, inputs: Sequence[np.ndarray], calls: int) -> float:
    """The fastest of some calls after one that does not count; enough to choose by, not to report."""
    runner.run(inputs)
    seconds = []
    for _ in range(calls):
        begin = time.perf_counter()
        runner.run(inputs)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


class EmulatedArmRunner:
    """Runs a 64-bit Arm module with the Arm build of IREE's runtime under qemu.

    Results are those of the hardware to the bit; times mean nothing. `cpu` is qemu's name of a processor.
    Raises QuantuneError when the emulator is not set up (see `emulation.available`).
    """

    def __init__(self, vmfb: Path, cpu: str = "max", name: str = "main") -> None:
        self._vmfb, self._name = vmfb, name
        _, _, self.signature = device.function(vmfb, name)
        self._command = emulation.command(cpu)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        arrays = self.signature.check(inputs, str(self._vmfb))
        with tempfile.TemporaryDirectory(prefix="quantune-") as name:
            folder = Path(name)
            module = folder / "module.vmfb"
            module.symlink_to(self._vmfb.resolve())  # iree-run-module cuts its path at an @
            command = [
                *self._command,
                f"--module={module}",
                "--device=local-sync",
                f"--function={self._name}",
            ]
            for index, array in enumerate(arrays):
                np.save(folder / f"in{index}.npy", array)
                command.append(f"--input=@{folder}/in{index}.npy")
            outputs = [folder / f"out{index}.npy" for index in range(len(self.signature.outputs))]
            command += [f"--output=@{path}" for path in outputs]
            outcome = process.run(command, folder / "stdout", folder / "stderr")
            if outcome.returncode != 0:
                message = (folder / "stderr").read_text(errors="replace").strip().splitlines()
                why = message[0][:300] if message else f"exit code {outcome.returncode}"
                raise QuantuneError(f"{self._vmfb} failed on emulated Arm: {why}")
            return [
                np.load(path).view(wanted.dtype).reshape(wanted.shape)
                for path, wanted in zip(outputs, self.signature.outputs, strict=True)
            ]
