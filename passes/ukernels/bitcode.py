"""Finding the kernels' bitcode, which installing the project builds (`passes/ukernels/CMakeLists.txt`)."""

from __future__ import annotations

from pathlib import Path

from quantune.errors import QuantuneError

FOLDER = Path(__file__).parent


def load(isa: str, family: str) -> bytes:
    """The bitcode of one family for one instruction set, padded to a multiple of 4 bytes as IREE wants it.

    Raises QuantuneError when it has not been built.
    """
    path = FOLDER / "bitcode" / isa / f"{family}.bc"
    try:
        data = path.read_bytes()
    except OSError:
        raise QuantuneError(f"the kernels for {isa} are not built ({path.name} is missing); run `make kernels`") from None
    return data + b"\0" * (-len(data) % 4)
