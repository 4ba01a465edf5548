"""Finding the kernels' bitcode, which installing the project builds (`passes/ukernels/CMakeLists.txt`)."""

from __future__ import annotations

import re
from pathlib import Path

from quantune.errors import QuantuneError

FOLDER = Path(__file__).parent


def architecture(executable_target: str) -> str:
    """`x86_64` or `aarch64`: the first part of the triple that a `#hal.executable.target` names."""
    match = re.search(r'target_triple = "(\w+)-', executable_target)
    if match is None:
        raise QuantuneError(f"the executable target names no target_triple: {executable_target[:200]}")
    return match[1]


def source(isa: str, family: str) -> Path:
    """The C file of a family for one instruction set, whether it exists or not."""
    return FOLDER / isa / f"{family}.c"


def path(isa: str, family: str, architecture: str) -> Path:
    """Where the build puts a family's bitcode; only plain C is built for more than one architecture."""
    return FOLDER / "bitcode" / (f"{isa}-{architecture}" if isa == "portable" else isa) / f"{family}.bc"


def load(isa: str, family: str, architecture: str) -> bytes:
    """The bitcode of one family for one instruction set, padded to a multiple of 4 bytes as IREE wants it.

    Raises QuantuneError when it has not been built.
    """
    file = path(isa, family, architecture)
    try:
        data = file.read_bytes()
    except OSError:
        raise QuantuneError(
            f"the {family} kernel for {file.parent.name} is not built; run `make kernels`, or install again"
        ) from None
    return data + b"\0" * (-len(data) % 4)
