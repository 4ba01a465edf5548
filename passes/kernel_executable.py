"""The `stream.executable` that holds the kernels' bitcode, with an export for every layer that calls one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quantune.passes.ukernels import bitcode

EXECUTABLE = "quantune_kernels"


@dataclass(frozen=True)
class Entry:
    """One export: a kernel for operands of these sizes (in i8 elements) and this many workgroups.

    operands: which of them each operand of the kernel is; a residual in whose place the result lies is two.
    """

    symbol: str
    kernel: str
    sizes: tuple[int, ...]
    operands: tuple[int, ...]
    workgroups: tuple[int, int]


def executable(entries: Iterable[Entry], families: Mapping[str, str], target: str) -> str:
    """The executable as text. families: to the instruction set that they come from.

    target: the `#hal.executable.target<…>` that it is for.
    """
    entries, architecture = list(entries), bitcode.architecture(target)
    objects = ", ".join(_object(isa, family, architecture) for family, isa in families.items())
    exports = "\n".join(_export(entry) for entry in entries)
    signatures = dict.fromkeys((entry.kernel, len(entry.operands)) for entry in entries)
    declarations = "\n".join(_declaration(kernel, operands) for kernel, operands in signatures)
    functions = "\n".join(_function(entry) for entry in entries)
    return f"""
stream.executable private @{EXECUTABLE} attributes {{
    hal.executable.objects = #hal.executable.objects<{{ {target} = [{objects}] }}> }} {{
{exports}
  builtin.module {{
{declarations}
{functions}
  }}
}}"""


def _object(isa: str, family: str, architecture: str) -> str:
    data = bitcode.load(isa, family, architecture)
    constant = f'dense<"0x{data.hex().upper()}"> : vector<{len(data)}xi8>'
    return f'#hal.executable.object<{{path = "{family}.bc", data = {constant}}}>'


def _export(entry: Entry) -> str:
    x, y = entry.workgroups
    return f"""  stream.executable.export public @"{entry.symbol}" workgroups() -> (index, index, index) {{
    %x = arith.constant {x} : index
    %y = arith.constant {y} : index
    %z = arith.constant 1 : index
    stream.return %x, %y, %z : index, index, index
  }}"""


def _types(operands: int) -> str:
    return ", ".join(["memref<i8>"] * operands + ["index"] * (operands + 2))


def _declaration(kernel: str, operands: int) -> str:
    attributes = "{hal.import.static, llvm.bareptr = true}"
    return f"    func.func private @{kernel}({_types(operands)}) attributes {attributes}"


def _function(entry: Entry) -> str:
    """Bare pointers do not include a binding's offset, so each offset travels beside its pointer."""
    count = len(entry.sizes)
    lines = [
        f'    func.func @"{entry.symbol}"({", ".join(f"%b{i}: !stream.binding" for i in range(count))}) {{'
    ]
    lines.append("      %zero = arith.constant 0 : index")
    for i, size in enumerate(entry.sizes):
        kind = f"memref<{size}xi8>"
        lines.append(f"      %m{i} = stream.binding.subspan %b{i}[%zero] : !stream.binding -> {kind}")
        lines.append(
            f"      %p{i}, %o{i}, %s{i}, %t{i} = iree_codegen.extract_strided_metadata %m{i} : {kind} "
            "-> memref<i8>, index, index, index"
        )
    lines.append("      %x = stream.dispatch.workgroup.id[0] : index")
    lines.append("      %y = stream.dispatch.workgroup.id[1] : index")
    arguments = [f"%p{i}" for i in entry.operands] + [f"%o{i}" for i in entry.operands] + ["%x", "%y"]
    types = _types(len(entry.operands))
    lines.append(f"      func.call @{entry.kernel}({', '.join(arguments)}) : ({types}) -> ()")
    return "\n".join([*lines, "      return", "    }"])
