"""`quantune-opt`: runs passes over an .mlir file, for tests, debugging and pipes."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantune.errors import QuantuneError
from quantune.files import write_atomic

if TYPE_CHECKING:
    from quantune.passes.base import Pass

SEPARATOR = re.compile(r"^// -----.*$\n?", re.MULTILINE)
_EPILOG = """\
examples:
  quantune-opt model.mlir --pass-pipeline='fold-batch-norm,channels-last,name-layers'
  quantune-opt model.mlir --pass-pipeline='instrument{layers=conv1,fc twins=true}' --report
  quantune-opt - --pass-pipeline='annotate-precision{plan=plan.json},insert-qdq' < model.mlir | less

The IR goes to standard output, reports and errors to standard error; exit code 1 after an error.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, 1 after a user's mistake, 130 after Ctrl-C."""
    options = _arguments(arguments)
    try:
        if options.list:
            _print_list(as_json=options.json)
            return 0
        return _transform(options)
    except QuantuneError as error:
        print(f"quantune-opt: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # `quantune-opt … | head`: the reader has seen enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "quantune-opt",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", nargs="?", default="-", metavar="FILE.mlir", help="input; - for standard input")
    add("--pass-pipeline", default="", metavar="NAME{OPTION=VALUE …},…", help="passes to run")
    add("-o", dest="output", type=Path, metavar="FILE", help="output file; - for standard output")
    add("--emit", choices=("text", "bytecode"), default="text", help="form of the output")
    add("--split-input-file", action="store_true", help="treat each part between `// -----` on its own")
    add(
        "--report",
        nargs="?",
        const="stderr",
        choices=("stderr", "-"),
        help="print `// PASS: {json}` for each pass: on standard error, or with --report=- before the IR",
    )
    add("--mlir-elide", type=int, metavar="N", help="elide constants of more than N elements")
    add("--debug-info", action="store_true", help="print locations")
    add("--list", action="store_true", help="list the passes and their options")
    add("--json", action="store_true", help="with --list: as JSON")
    options = parser.parse_args(arguments)
    if options.emit == "bytecode" and options.split_input_file:
        parser.error("--emit bytecode and --split-input-file exclude each other")
    return options


def _transform(options: argparse.Namespace) -> int:
    """Reads, runs the pipeline, writes. Of several parts, those in error are reported and left out."""
    from quantune.passes.registry import parse_pipeline  # late: `--help` needs no compiler

    passes = parse_pipeline(options.pass_pipeline, _readers()) if options.pass_pipeline.strip() else []
    source, name = _read(options.file)
    if not options.split_input_file:
        _write(_run(source, name, passes, options), options.output)
        return 0
    results: list[bytes] = []
    failed = 0
    for number, part in enumerate(SEPARATOR.split(source.decode()), 1):
        try:
            results.append(_run(part.encode(), f"{name} (part {number})", passes, options))
        except QuantuneError as error:
            print(f"quantune-opt: error: {error}", file=sys.stderr)
            failed = 1
    _write(b"\n// -----\n\n".join(results), options.output)
    return failed


def _run(source: bytes, name: str, passes: Sequence[Pass], options: argparse.Namespace) -> bytes:
    """One module through the pipeline: text or bytecode."""
    from quantune.ir.session import Workspace, to_bytecode
    from quantune.passes.base import run

    with Workspace() as workspace:
        module = workspace.parse(source, name)
        reports = "".join(f"// {step}: {json.dumps(said)}\n" for step, said in run(module, *passes).items())
        if options.report == "stderr":
            print(reports, end="", file=sys.stderr)
        if options.emit == "bytecode":
            return to_bytecode(module)
        text = module.operation.get_asm(
            large_elements_limit=options.mlir_elide, enable_debug_info=options.debug_info
        )
        return ((reports if options.report == "-" else "") + text.rstrip() + "\n").encode()


def _readers() -> dict[type, Callable[[str], Any]]:
    from quantune import targets
    from quantune.backend.compiler import kernel_target
    from quantune.passes.kernel_dispatch import KernelTarget
    from quantune.plan.edit import load_plan
    from quantune.plan.schema import Plan

    return {
        Plan: lambda name: load_plan(Path(name)),
        KernelTarget: lambda name: kernel_target(targets.get(name)),
    }


def _read(file: str) -> tuple[bytes, str]:
    """(content, how messages name it)."""
    if file == "-":
        return sys.stdin.buffer.read(), "standard input"
    try:
        return Path(file).read_bytes(), file
    except OSError as error:
        raise QuantuneError(f"cannot read {file}: {error.strerror}") from None


def _write(content: bytes, output: Path | None) -> None:
    if output is None or str(output) == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        write_atomic(output, content)


def _print_list(as_json: bool) -> None:
    from quantune.passes.registry import all_passes

    found = [describe(cls) for cls in all_passes()]
    if as_json:
        print(json.dumps(found, indent=1), flush=True)
        return
    width = max(len(entry["name"]) for entry in found)
    for entry in found:
        print(f"{entry['name']:{width}}  {entry['summary']}")
        for option in entry["options"]:
            default = "required" if option["required"] else f"default {option['default']!r}"
            print(f"{'':{width}}    {option['name']}: {option['type']}, {default}")
    sys.stdout.flush()


def describe(cls: type[Any]) -> dict[str, Any]:
    """A pass as JSON: name, first sentence of its docstring, options."""
    from quantune.passes.registry import is_required, option_types

    first = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    options = [
        {
            "name": field.name,
            "type": option_types(cls)[field.name].__name__,
            "required": is_required(field),
            "default": None if is_required(field) else _as_text(field.default),
        }
        for field in dataclasses.fields(cls)
    ]
    return {"name": cls.name, "summary": first, "options": options}


def _as_text(default: Any) -> bool | int | str:
    """A default as it would be written in a pipeline; what is looked up by name (a target) has none."""
    return default if isinstance(default, (bool, int, str)) else ""


if __name__ == "__main__":
    sys.exit(main())
