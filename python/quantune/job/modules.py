"""From the reference module to compiled ones: instrumented for measuring, and the variants that ship."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quantune import files
from quantune.backend import pipeline
from quantune.backend.compiler import BEST_FLAGS, CompileResult, compile_module, kernel_target
from quantune.backend.runner import HostRunner, least_seconds
from quantune.errors import QuantuneError
from quantune.ingress.model import Model
from quantune.ir.session import Workspace, to_bytecode
from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.base import Pass, run
from quantune.passes.instrument import Instrument
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.strip_annotations import StripAnnotations
from quantune.plan.schema import Plan
from quantune.targets import Target

# Tiling early instead of late. Which is faster depends on the network (ResNet18 int8: 30 and 37 ms;
# MobileNetV2: 12.3 and 10.2).
EARLY_TILING = (
    "--iree-opt-level=O3",
    "--iree-global-opt-data-tiling",
    "--iree-llvmcpu-enable-ukernels=all",
)
# Compiled once, run a few times: O0 compiles in a third of the time, and flags change no integer. A result
# both kept in integers and returned in float makes IREE's tiles larger than its usual 32 KiB of stack.
INSTRUMENTED_FLAGS = ("--iree-opt-level=O0", "--iree-llvmcpu-stack-allocation-limit=1048576")
TRIALS = 5


@dataclass(frozen=True)
class Built:
    """One compiled variant and how it came about."""

    path: Path
    flags: Sequence[str]
    size_bytes: int
    compile_seconds: float
    peak_memory_bytes: int
    reports: dict[str, Any] = field(default_factory=dict)


def lowered(
    model: Model, passes: Sequence[Pass], text_to: Path | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The reference module after `passes` as bytecode, and their reports; `text_to` also gets it as text."""
    with Workspace() as workspace:
        module = workspace.load(model.reference_path)
        reports = run(module, *passes)
        if text_to is not None:
            with files.replacing(text_to) as temporary, temporary.open("w") as stream:
                module.operation.print(file=stream, binary=False)
        return to_bytecode(module), reports


def quantizing(plan: Plan, target: Target, kernels: bool) -> tuple[Pass, ...]:
    """The quantizing pipeline for a target, with its microkernels or without."""
    return pipeline.quantize(plan, _kernels(target, kernels))


def instrumented(
    model: Model, target: Target, output: Path, plan: Plan | None = None, kernels: bool = True
) -> list[str]:
    """Compiles the module that returns every layer's value (given a plan, float twins too).

    Returns the results' names.
    """
    if plan is None:
        passes: list[Pass] = [Instrument(), *pipeline.fp32(_kernels(target, kernels))]
    else:
        annotate, *rest = quantizing(plan, target, kernels)
        assert isinstance(annotate, AnnotatePrecision)
        passes = [annotate, Instrument(twins=True), *rest]
    source, reports = lowered(model, passes)
    compile_module(source, output, target, INSTRUMENTED_FLAGS)
    # in angle brackets, because a layer may be called output0
    outputs = [f"<output{i}>" for i in range(len(model.graph.outputs))]
    return [*outputs, *reports["instrument"]["outputs"]]


def build(
    model: Model,
    target: Target,
    output: Path,
    plan: Plan | None,
    text_to: Path | None = None,
    kernels: bool = True,
) -> Built:
    """Compiles a variant (plan None: fp32) with the flags fastest here; elsewhere, the usual best ones."""
    tried: list[_Tried] = []
    failure: QuantuneError | None = None
    ways = _ways(plan, target, kernels)
    lowered_by: tuple[Pass, ...] | None = None
    with tempfile.TemporaryDirectory(prefix=".build-", dir=_made(output.parent)) as scratch:
        for number, (passes, flags) in enumerate(ways):
            if tried and not flags:
                break  # the fallback is for when nothing else compiles
            if passes is not lowered_by:  # ways that differ in flags share their lowering
                text = Path(scratch) / f"{number}.mlir" if text_to is not None else None
                (source, reports), lowered_by = lowered(model, passes, text), passes
            path = Path(scratch) / f"{output.stem}.{number}.vmfb"
            try:
                result = compile_module(source, path, target, flags)
            except QuantuneError as error:
                failure = QuantuneError(str(error).split("; see ")[0])
                continue
            tried.append(
                _Tried(_seconds(path, model) if len(ways) > 2 else 0.0, result, flags, reports, text)
            )
        if failure is not None and not tried:
            raise failure
        best = min(tried, key=lambda item: item.seconds)
        size = best.result.path.stat().st_size
        best.result.path.replace(output)
        if text_to is not None and best.text is not None:
            best.text.replace(text_to)
    return Built(
        path=output,
        flags=best.flags,
        size_bytes=size,
        compile_seconds=sum(item.result.seconds for item in tried),
        peak_memory_bytes=max(item.result.peak_memory_bytes for item in tried),
        reports=best.reports,
    )


class _Tried(NamedTuple):
    seconds: float
    result: CompileResult
    flags: Sequence[str]
    reports: dict[str, Any]
    text: Path | None


def _ways(plan: Plan | None, target: Target, kernels: bool) -> list[tuple[tuple[Pass, ...], tuple[str, ...]]]:
    """Passes and flags worth trying, and IREE's defaults last.

    Code generation gives up on some shapes ("large vector sizes", "exceeded stack allocation limit") with
    any other flags. With microkernels, flags hardly matter; where nothing can be timed, the usual ones.
    """
    with_kernels = kernels and bool(target.kernel_isas)
    if plan is None:
        ways = [(pipeline.fp32(_kernels(target, kernels)), BEST_FLAGS)]
        if not with_kernels:
            ways.append(((StripAnnotations(),), BEST_FLAGS))
    else:
        passes = quantizing(plan, target, kernels)
        ways = [(passes, BEST_FLAGS)]
        if not with_kernels:
            ways.append((passes, EARLY_TILING))
    return [*(ways if target.runs_here else ways[:1]), (ways[0][0], ())]


def _kernels(target: Target, wanted: bool) -> KernelTarget:
    return kernel_target(target) if wanted else pipeline.NO_KERNELS


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _seconds(path: Path, model: Model) -> float:
    """The fastest of a few runs; enough to choose between flags, not to report."""
    return least_seconds(HostRunner(path), [np.zeros(model.input_shape, np.float32)], TRIALS)
