"""Running kernels outside IREE: the bitcode that ships, linked with `run_kernels.c`; Arm is emulated."""

from __future__ import annotations

import functools
import hashlib
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quantune.backend import emulation
from quantune.passes import in_place
from quantune.passes.ukernels import bitcode
from quantune.targets import cpu

MAIN = Path(__file__).with_name("run_kernels.c")
FILLS = (0xA5, 0x5A)  # what the bytes of a result are before the first and the second run
BUILD = Path(__file__).resolve().parents[2] / "build" / "ukernels"
FLAGS = ("-O2", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror", "-Wno-override-module")


@dataclass(frozen=True)
class Call:
    """One use of `quantune_<kernel>_<isa>`; the result's size is in bytes.

    written: for each byte of the result, whether the kernel writes it; by default all.
    memory: bytes of working memory behind the result.
    """

    kernel: str
    inputs: tuple[bytes, ...]
    result_bytes: int
    workgroups: tuple[int, int]
    written: NDArray[np.bool_] | None = None
    memory: int = 0

    @property
    def in_place(self) -> bool:
        """Whether the result may lie where its residual did."""
        kernels = [f"{family}_residual" for family in in_place.FAMILIES]
        return self.kernel in kernels and len(self.inputs[1]) == self.result_bytes and self.written is None

    @property
    def runs(self) -> int:
        return len(FILLS) + self.in_place


class KernelFault(AssertionError):
    """A kernel left its operands, wrote into an input or left a part of its result unwritten."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = re.search(r"call (\d+)", message)
        self.index = int(found[1]) if found else None


@dataclass(frozen=True)
class Machine:
    """An instruction set with the processor that executes it.

    Attributes:
        needs: Linux's names of its features.
        emulated: qemu's name of an Arm processor, so that an instruction beyond it crashes.
    """

    isa: str
    architecture: str
    needs: tuple[str, ...] = ()
    emulated: str = "cortex-a53"

    def __str__(self) -> str:
        return f"{self.isa}-{self.architecture}"

    @property
    def missing(self) -> str | None:
        """Why the kernels cannot be executed here, in one line; None if they can."""
        here = cpu.here()
        if here.architecture == self.architecture:
            absent = [feature for feature in self.needs if feature not in here.features]
            return f"this processor has no {', '.join(absent)}" if absent else None
        if self.architecture == "aarch64":
            absent = [what for what in ("emulator", "sysroot") if getattr(emulation, what)() is None]
            return f"no {' and '.join(absent)} for 64-bit Arm; {emulation.HINT}" if absent else None
        return f"not a processor of the architecture {self.architecture}"

    def run(self, family: str, calls: Sequence[Call]) -> list[bytes]:
        """Executes all calls in one process; KernelFault has the number of the one that went wrong."""
        names = _names(family)
        with tempfile.TemporaryDirectory(prefix="quantune-") as folder:
            written, results = Path(folder) / "calls", Path(folder) / "results"
            written.write_bytes(b"".join(_pack(call, names.index(call.kernel)) for call in calls))
            command = [*self._emulator(), _program(self, family), written, results]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
            if done.returncode != 0:
                raise KernelFault(f"{self}: {done.stderr.strip()} (exit code {done.returncode})")
            return self._split(results.read_bytes(), calls)

    def _emulator(self) -> list[str | Path]:
        if cpu.here().architecture == self.architecture:
            return []
        found, root = emulation.emulator(), emulation.sysroot()
        assert found is not None and root is not None
        return [found, "-cpu", self.emulated, "-L", root]

    def _split(self, data: bytes, calls: Sequence[Call]) -> list[bytes]:
        found, start = [], 0
        for index, call in enumerate(calls):
            first, second = (
                _written(call, index, data[start + i * call.result_bytes :][: call.result_bytes], fill)
                for i, fill in enumerate(FILLS)
            )
            if first != second:
                raise KernelFault(
                    f"{self}: call {index} depends on the order of workgroups or leaves results unwritten"
                )
            start += call.runs * call.result_bytes
            if call.in_place and data[start - call.result_bytes : start] != first:
                raise KernelFault(f"{self}: call {index} gives something else where its residual was")
            found.append(first)
        assert start == len(data)
        return found


def _written(call: Call, index: int, result: bytes, fill: int) -> bytes:
    """What the kernel wrote, 0 elsewhere; KernelFault if it wrote more than it should."""
    if call.written is None:
        return result
    found = np.frombuffer(result, np.uint8)
    if np.any(found[~call.written] != fill):
        raise KernelFault(f"call {index} wrote outside its part of the result")
    return np.where(call.written, found, np.uint8(0)).tobytes()


MACHINES = (
    Machine("avx2", "x86_64", ("avx2", "fma")),
    Machine("avx512", "x86_64", ("avx2", "fma", "avx512f", "avx512bw", "avx512vl")),
    Machine("avx512vnni", "x86_64", ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni")),
    Machine("amx", "x86_64", ("avx512f", "avx512bw", "avx512vl", "avx512vbmi", "amx_tile", "amx_int8")),
    Machine("portable", "x86_64", ("fma",)),
    Machine("portable", "aarch64"),
    Machine("neon", "aarch64", ("asimd",)),
    Machine("dotprod", "aarch64", ("asimddp",), emulated="cortex-a76"),
    Machine("i8mm", "aarch64", ("i8mm",), emulated="max"),
)


def each_of(family: str) -> pytest.MarkDecorator:
    """Every machine that has kernels of the family; skipped, with the reason, where it is not here."""
    found = [m for m in MACHINES if bitcode.source(m.isa, family).is_file()]
    skipped = {m: pytest.mark.skipif(m.missing is not None, reason=m.missing or "") for m in found}
    return pytest.mark.parametrize("machine", [pytest.param(m, id=str(m), marks=skipped[m]) for m in found])


each_machine = each_of("qconv")
each_depthwise_machine = each_of("qdepthwise")
each_float_machine = each_of("fconv")
each_float_depthwise_machine = each_of("fdepthwise")


def _names(family: str) -> tuple[str, ...]:
    if family in ("qmaxpool", "fmaxpool", "move"):
        return (family,)
    return (family, f"{family}_residual", *(["fconv_pooled"] if family == "fconv" else []))


def _pack(call: Call, kernel: int) -> bytes:
    sizes = [*map(len, call.inputs), call.result_bytes, *([call.memory] if call.memory else [])]
    words = (kernel, len(sizes), len(call.inputs), *call.workgroups, call.runs, *sizes)
    return struct.pack(f"<{len(words)}q", *words) + b"".join(call.inputs)


@functools.cache
def _program(machine: Machine, family: str) -> Path:
    """The test program, linked again whenever the bitcode, the program or its flags have changed."""
    kernels = bitcode.path(machine.isa, family, machine.architecture)
    names = " ".join(f"KERNEL(quantune_{name}_{machine.isa})" for name in _names(family))
    flags = ["-target", f"{machine.architecture}-linux-gnu", *FLAGS, f"-DKERNELS={names}"]
    content = bitcode.load(machine.isa, family, machine.architecture)
    digest = hashlib.sha256(MAIN.read_bytes() + content + "\0".join(flags).encode()).hexdigest()[:16]
    program = BUILD / f"{machine}-{family}-{digest}"
    if not program.is_file():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="linking-", dir=BUILD) as folder:
            linked = Path(folder) / "program"
            command: list[str | Path] = [
                sys.executable,
                "-m",
                "ziglang",
                "cc",
                *flags,
                MAIN,
                kernels,
                "-o",
                linked,
            ]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace")
            assert done.returncode == 0, done.stderr
            linked.replace(program)
    return program
