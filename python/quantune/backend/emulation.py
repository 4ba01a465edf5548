"""Finds what runs 64-bit Arm programs here: qemu, the Arm C libraries and IREE's runtime for Arm.

Each part is taken from the system's packages if it is installed, else from the folder that
`tools/arm_emulation.py` fills.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from quantune.errors import QuantuneError

EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
SYSROOT = "usr/aarch64-linux-gnu"
LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1")
HINT = "run `python tools/arm_emulation.py`"


def folder() -> Path:
    """Where the tool unpacks: $QUANTUNE_ARM, else build/arm of the checkout."""
    return Path(os.environ.get("QUANTUNE_ARM") or Path(__file__).resolve().parents[3] / "build" / "arm")


def emulator() -> Path | None:
    for name in EMULATORS:
        unpacked = folder() / "root" / "usr" / "bin" / name
        found = shutil.which(name) or (str(unpacked) if unpacked.is_file() else None)
        if found:
            return Path(found)
    return None


def sysroot() -> Path | None:
    """The folder whose lib/ has every one of LIBRARIES."""
    for root in (Path("/"), folder() / "root"):
        if all((root / SYSROOT / "lib" / library).is_file() for library in LIBRARIES):
            return root / SYSROOT
    return None


def runtime() -> Path | None:
    """The Arm build of iree-run-module."""
    tool = folder() / "runtime" / "iree" / "_runtime_libs" / "iree-run-module"
    return tool if tool.is_file() else None


def available() -> str | None:
    """None when everything is there, else one line that says what is missing and how to get it."""
    if emulator() is None:
        return f"no {EMULATORS[0]}; install Debian's qemu-user or {HINT}"
    if sysroot() is None:
        return f"no Arm C libraries; install Debian's libc6-arm64-cross and libstdc++6-arm64-cross or {HINT}"
    if runtime() is None:
        return f"no iree-run-module for Arm; {HINT}"
    return None


def command(cpu: str) -> list[str | Path]:
    """The start of a command line that runs the Arm iree-run-module on `cpu` (qemu's name, `max` for all)."""
    reason = available()
    found = (emulator(), sysroot(), runtime())
    if reason is not None or found[0] is None or found[1] is None or found[2] is None:
        raise QuantuneError(f"cannot emulate Arm: {reason}")
    return [found[0], "-cpu", cpu, "-L", found[1], found[2]]
