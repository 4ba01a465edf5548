"""What the processor that we run on can do, as Linux tells it."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"

# The kernel's names of what matters to int8 and f32 arithmetic, x86-64 first, then 64-bit Arm.
RELEVANT = (
    *(
        "sse4_1",
        "avx",
        "fma",
        "avx2",
        "avx_vnni",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512_vnni",
        "avx512vbmi",
        "amx_tile",
        "amx_int8",
    ),
    *("asimd", "asimdhp", "asimddp", "i8mm", "sve", "sve2", "bf16"),
)


@dataclass(frozen=True)
class Cpu:
    """One processor: which of RELEVANT it has, and how many of its cores this process may use."""

    name: str
    architecture: str
    features: tuple[str, ...]
    cores: int


def parse(cpuinfo: str, architecture: str, cores: int) -> Cpu:
    """Reads the text of /proc/cpuinfo; of several cores, only the features that all of them have count."""
    name = ""
    common: set[str] | None = None
    for line in cpuinfo.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("model name", "Model", "Hardware") and not name:
            name = value
        elif key in ("flags", "Features"):
            common = set(value.split()) if common is None else common & set(value.split())
    features = tuple(feature for feature in RELEVANT if feature in (common or set()))
    return Cpu(name or f"unknown {architecture} processor", architecture, features, cores)


@functools.cache
def here() -> Cpu:
    """This machine's processor; without /proc/cpuinfo (not Linux) one with no optional features."""
    text = CPUINFO.read_text() if CPUINFO.exists() else ""
    architecture = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    return parse(text, architecture, len(_allowed()))


@functools.cache
def processors() -> tuple[int, ...]:
    """The numbers of the processors that this process may use; second threads of a core come last."""
    first: dict[str, int] = {}
    for number in _allowed():
        path = Path(SIBLINGS.format(number))
        first.setdefault(path.read_text() if path.exists() else str(number), number)
    return (*first.values(), *(number for number in _allowed() if number not in first.values()))


def _allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
