"""What a pass is: a frozen dataclass whose fields are its options, a name, and `apply`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from iree.compiler import ir, passmanager

from quantune.errors import QuantuneError
from quantune.ir import values

Report = dict[str, Any]
"""What a pass did; JSON-able; shown by `quantune-opt --report` and kept in metrics.json."""


@dataclass(frozen=True)
class Pass:
    """Base of all passes. The class docstring is the pass's documentation page: what, before, after.

    The name is the class name in kebab case: `FoldBatchNorm` lives in `fold_batch_norm.py` and is called
    `fold-batch-norm`.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def apply(self, module: ir.Module) -> Report:
        """Rewrites `module` in place; raises QuantuneError naming the operation it cannot handle."""
        raise NotImplementedError


def run(module: ir.Module, *passes: Pass) -> dict[str, Report]:
    """Applies the passes in order, verifying after each; returns their reports by name."""
    reports: dict[str, Report] = {}
    for step in passes:
        with module.context, ir.Location.unknown():
            reports[step.name] = step.apply(module)
        try:
            module.operation.verify()
        except ir.MLIRError as error:
            first = next(iter(error.error_diagnostics), None)
            raise QuantuneError(
                f"pass {step.name} produced invalid IR ({first.message if first else error}); "
                "please report this with the input module"
            ) from error
    return reports


def cleanup(module: ir.Module) -> None:
    """Removes dead operations, merges equal ones, simplifies reshapes.

    Not while quantize/dequantize pairs are about: MLIR folds a pair to nothing, although it rounds
    (`tidy` then).
    """
    remove_dead(module)
    with module.context:
        passmanager.PassManager.parse("builtin.module(canonicalize,cse)").run(module.operation)


def tidy(module: ir.Module) -> None:
    """Removes dead operations, merges equal ones, puts constants first; quantize/dequantize pairs stay."""
    remove_dead(module)
    function = values.main_function(module)
    first = next(values.operations(function))
    for op in values.operations(function):
        nested = [inner.operation for region in op.regions for block in region for inner in block.operations]
        for inner in [op, *nested]:
            if inner.name == "arith.constant" and inner != first:
                inner.move_before(first)
    with module.context:
        passmanager.PassManager.parse("builtin.module(cse)").run(module.operation)


def remove_dead(module: ir.Module) -> None:
    """Erases operations whose results nobody reads."""
    for op in reversed(list(values.operations(values.main_function(module)))):
        # torch-mlir's batch norm asserts a non-zero variance, which keeps MLIR from seeing that nobody reads
        # the result
        if op.name.startswith(_PURE) and not any(list(r.uses) for r in op.results):
            op.erase()


_PURE = ("arith.", "linalg.", "quant.", "tensor.")
