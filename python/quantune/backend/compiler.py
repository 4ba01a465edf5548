"""The stock `iree-compile` of the installed wheel, in a subprocess: its crashes and memory stay outside."""

from __future__ import annotations

import functools
import importlib.util
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantune import files
from quantune.backend import process
from quantune.errors import QuantuneError
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.targets import Target

# On ResNet18 74 ms against 519 ms with default flags; on int8 in channels-last layout a factor of three.
BEST_FLAGS = ("--iree-opt-level=O3", "--iree-opt-data-tiling", "--iree-llvmcpu-enable-ukernels=all")
# What makes plain IREE fast on a float network in PyTorch's NCHW layout: the baseline to compare with.
IREE_BEST_FLAGS = (*BEST_FLAGS, "--iree-global-opt-use-im2col-for-convs")
IREE_DEFAULT_FLAGS: tuple[str, ...] = ()

# Diagnostics quote whole operations, constants included; nobody reads megabytes of hex.
LONGEST_LOG_LINE = 2000


@dataclass(frozen=True)
class CompileResult:
    """A compiled module; `seconds` and `peak_memory_bytes` are those of iree-compile alone."""

    path: Path
    seconds: float
    peak_memory_bytes: int
    warnings: tuple[str, ...]


@functools.cache
def iree_compile() -> Path:
    """The compiler of the `iree.compiler` package that this Python would import, or a QuantuneError."""
    spec = importlib.util.find_spec("iree.compiler") if importlib.util.find_spec("iree") else None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        tool = Path(folder) / "_mlir_libs" / "iree-compile"
        if tool.is_file():
            return tool
    raise QuantuneError(
        "iree-compile is not installed; run `make venv` or `pip install iree-base-compiler==3.13.0`"
    )


def compile_module(
    source: Path | bytes | str,
    output: Path,
    target: Target,
    flags: Sequence[str] = BEST_FLAGS,
    timeout: float | None = None,
) -> CompileResult:
    """Compiles MLIR to `output` (.vmfb): `source` is a file, or the module itself as text or bytecode.

    Raises QuantuneError with the first error that iree-compile reports, and leaves everything it said in
    `<output>.log`; `output` itself is then as it was before.
    """
    log = output.with_name(output.name + ".log")
    with tempfile.TemporaryDirectory(prefix="quantune-") as folder, files.replacing(output) as temporary:
        module, label = _as_file(source, Path(folder))
        stderr = Path(folder) / "stderr"
        command: list[str | Path] = [iree_compile(), module, "-o", temporary, *target.compile_flags(), *flags]
        # TMPDIR, so that objects left by a killed linker go with the folder.
        outcome = process.run(command, Path(folder) / "stdout", stderr, timeout, {"TMPDIR": folder})
        lines = [line.replace(str(module), label) for line in _shortened(stderr)]
        if outcome.returncode != 0:
            files.write_atomic(log, "".join(f"{line}\n" for line in lines))
            raise QuantuneError(f"{_reason(outcome, lines, timeout)}; see {log}")
    log.unlink(missing_ok=True)
    warnings = tuple(line for line in lines if "warning:" in line or "not a recognized" in line)
    return CompileResult(output, outcome.seconds, outcome.peak_memory_bytes, warnings)


@functools.cache
def kernel_target(target: Target) -> KernelTarget:
    """What `select-kernels` must know of a target."""
    isas = target.kernel_isas
    return KernelTarget(isas, executable_target(target)) if isas else KernelTarget()


@functools.cache
def executable_target(target: Target) -> str:
    """The `#hal.executable.target<…>` attribute that iree-compile derives from the target's flags.

    Kernels embedded as `hal.executable.objects` need it as their key, equal to the letter.
    """
    with tempfile.TemporaryDirectory(prefix="quantune-") as folder:
        module, stdout, stderr = (Path(folder) / name for name in ("module.mlir", "stdout", "stderr"))
        module.write_text("func.func @main() {\n  return\n}\n")
        command: list[str | Path] = [
            iree_compile(),
            module,
            "--compile-to=preprocessing",
            *target.compile_flags(),
            *BEST_FLAGS,
        ]
        outcome = process.run(command, stdout, stderr)
        printed = stdout.read_text()
        match = re.search(r"#hal\.executable\.target<", printed)
        if outcome.returncode != 0 or match is None:
            raise QuantuneError(
                f"iree-compile does not know target '{target.name}': {stderr.read_text()[:200]}"
            )
    return printed[match.start() : _closing(printed, match.end())]


def _closing(text: str, start: int) -> int:
    """Index after the `>` that closes the `<` before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"<": 1, ">": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    raise ValueError("unbalanced attribute")


def _as_file(source: Path | bytes | str, folder: Path) -> tuple[Path, str]:
    """The file to give to the compiler, and what to call it in messages."""
    if isinstance(source, Path):
        if not source.is_file():
            raise QuantuneError(f"no such file: {source}")
        return source, str(source)
    path = folder / "module.mlir"
    path.write_bytes(source.encode() if isinstance(source, str) else source)
    return path, "<module>"


def _shortened(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            yield line.rstrip("\n")[:LONGEST_LOG_LINE]


def _reason(outcome: process.Outcome, lines: Sequence[str], timeout: float | None) -> str:
    """One line that says why a compilation failed."""
    if outcome.timed_out:
        return f"iree-compile was stopped after {timeout:g} s"
    for line in lines:
        if "error:" in line:
            return f"iree-compile: {line[:300].strip()}"
    if outcome.returncode == -9:
        return "iree-compile was killed, most likely for want of memory"
    if outcome.returncode < 0:
        return f"iree-compile crashed (signal {-outcome.returncode})"
    return f"iree-compile failed (exit code {outcome.returncode}): {next(iter(lines), 'no message')[:300]}"
