"""One MLIR context: IREE's own, with every dialect its compiler knows."""

from __future__ import annotations

import io
import re
from pathlib import Path

from iree.compiler import ir

from quantune.errors import QuantuneError

DIALECTS = ("arith", "func", "linalg", "math", "quant", "tensor")


class Workspace:
    """A context with all of IREE's dialects, freed with its last reader; enter it to build or rewrite IR.

    >>> with Workspace() as workspace:
    ...     module = workspace.parse("func.func @main() { return }")
    """

    def __init__(self) -> None:
        # Not a compiler Session's context: nothing ever frees that, nor the weights in it.
        self.context = ir.Context()
        for name in DIALECTS:
            self.context.dialects[name]  # loads it: operations of an unloaded dialect cannot be built

    def __enter__(self) -> Workspace:
        self.context.__enter__()
        self._location = ir.Location.unknown(self.context)
        self._location.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._location.__exit__(*error)
        self.context.__exit__(*error)

    def parse(self, source: str | bytes, name: str = "the input") -> ir.Module:
        """Parses MLIR text or bytecode; raises QuantuneError with the first diagnostic and its position."""
        try:
            return ir.Module.parse(source, context=self.context)
        except ir.MLIRError as error:
            first = next(iter(error.error_diagnostics), None)
            where = (
                re.sub(r'loc\("-":(\d+):(\d+)\)', r" at line \1 column \2", str(first.location))
                if first
                else ""
            )
            raise QuantuneError(
                f"{name} does not parse as MLIR{where}: {first.message if first else error}"
            ) from None

    def load(self, path: Path) -> ir.Module:
        """Reads a `.mlir` (text) or `.mlirbc` (bytecode) file."""
        try:
            return self.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise QuantuneError(f"cannot read {path}: {error.strerror}") from None


def to_bytecode(module: ir.Module) -> bytes:
    """Half the size of text, and no float is printed and parsed on the way."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()
