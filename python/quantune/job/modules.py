"""From the reference module to compiled ones: instrumented for measuring, and the variants that ship."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantune import files
from quantune.backend import pipeline
from quantune.backend.compiler import BEST_FLAGS, CompileResult, compile_module, kernel_target
from quantune.backend.runner import HostRunner
from quantune.errors import QuantuneError
from quantune.ingress.model import Model
from quantune.ir.session import Workspace, to_bytecode
from quantune.passes.annotate_precision import AnnotatePrecision
from quantune.passes.base import Pass, run
from quantune.passes.instrument import Instrument
from quantune.plan.schema import Plan
from quantune.targets import Target

# Which of these is faster depends on the network (ResNet18 int8: tiling early 30 ms, late 37 ms;
# MobileNetV2: 12.3 and 10.2).
FLAGS = (
    BEST_FLAGS,
    ("--iree-opt-level=O3", "--iree-global-opt-data-tiling", "--iree-llvmcpu-enable-ukernels=all"),
)
# Code generation gives up on some shapes ("large vector sizes", "exceeded stack allocation limit") with
# both, never with its defaults.
FALLBACK_FLAGS: tuple[str, ...] = ()
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
    return pipeline.quantize(plan, kernel_target(target) if kernels else pipeline.NO_KERNELS)


def instrumented(
    model: Model, target: Target, output: Path, plan: Plan | None = None, kernels: bool = True
) -> list[str]:
    """Compiles the module that returns every layer's value (given a plan, float twins too).

    Returns the results' names.
    """
    if plan is None:
        passes: list[Pass] = [Instrument(), *pipeline.FP32]
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
    passes = quantizing(plan, target, kernels) if plan is not None else pipeline.FP32
    source, reports = lowered(model, passes, text_to)
    dispatched = reports.get("select-kernels", {}).get("kernels", 0)
    candidates = FLAGS if target.runs_here and not dispatched else (BEST_FLAGS,)
    tried: list[tuple[float, CompileResult, Sequence[str]]] = []
    failure: QuantuneError | None = None
    with tempfile.TemporaryDirectory(prefix=".build-", dir=_made(output.parent)) as scratch:
        for number, flags in enumerate([*candidates, FALLBACK_FLAGS]):
            if tried and flags is FALLBACK_FLAGS:
                break
            try:
                result = compile_module(source, Path(scratch) / f"{output.stem}.{number}.vmfb", target, flags)
            except (
                QuantuneError
            ) as error:  # code generation fails on some shapes with one way of tiling and not the other
                failure = QuantuneError(str(error).split("; see ")[0])
                continue
            tried.append((_seconds(result.path, model) if len(candidates) > 1 else 0.0, result, flags))
        if failure is not None and not tried:
            raise failure
        _, best, flags = min(tried, key=lambda item: item[0])
        size = best.path.stat().st_size
        best.path.replace(output)
    return Built(
        path=output,
        flags=flags,
        size_bytes=size,
        compile_seconds=sum(result.seconds for _, result, _ in tried),
        peak_memory_bytes=max(result.peak_memory_bytes for _, result, _ in tried),
        reports=reports,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _seconds(path: Path, model: Model) -> float:
    """The fastest of a few runs; enough to choose between flags, not to report."""
    runner = HostRunner(path)
    image = np.zeros(model.input_shape, np.float32)
    runner.run([image])
    seconds = []
    for _ in range(TRIALS):
        begin = time.perf_counter()
        runner.run([image])
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
