"""Calling a microkernel: a `stream.executable` with the bitcode inside, and a `flow.dispatch` per use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.ir import build
from quantune.passes.ukernels import bitcode
from quantune.passes.ukernels.layouts import Layout, layout_of

EXECUTABLE = "quantune_kernels"


@dataclass(frozen=True)
class KernelTarget:
    """A processor's microkernels.

    Attributes:
        isas: folders of `passes/ukernels`, the best first: a family comes from the first that has it. Empty
            where there are no kernels.
        executable_target: the `#hal.executable.target<…>` that modules for this processor are compiled for.
    """

    isas: tuple[str, ...] = ()
    executable_target: str = ""

    def isa(self, family: str) -> str | None:
        """The instruction set whose kernel of this family runs here, if any."""
        return next((isa for isa in self.isas if bitcode.source(isa, family).is_file()), None)

    @property
    def layout(self) -> Layout:
        """How the convolutions multiply."""
        return layout_of(self.isa("qconv"))


@dataclass(frozen=True)
class _Entry:
    """One export: a kernel for operands of these sizes (in i8 elements) and this many workgroups."""

    kernel: str
    sizes: tuple[int, ...]
    workgroups: tuple[int, int]

    @property
    def symbol(self) -> str:
        return f"{self.kernel}_{'x'.join(map(str, self.sizes))}_{self.workgroups[0]}x{self.workgroups[1]}"


@dataclass
class Kernels:
    """Collects what a module dispatches, then writes the executable that holds it all."""

    target: KernelTarget
    families: dict[str, str] = field(default_factory=dict)  # to the instruction set
    entries: dict[_Entry, None] = field(default_factory=dict)

    def call(
        self,
        family: str,
        name: str,
        operands: Sequence[ir.Value],
        result: ir.RankedTensorType,
        workgroups: tuple[int, int],
    ) -> ir.Value:
        """Dispatches `quantune_<name>_<isa>(operands…, result, offsets…, x, y)`."""
        isa = self.target.isa(family)
        assert isa is not None, family
        sizes = (*(_bytes(v.type) for v in operands), _bytes(result))
        entry = _Entry(f"quantune_{name}_{isa}", sizes, workgroups)
        self.families[family] = isa
        self.entries[entry] = None
        target = ir.ArrayAttr.get([ir.SymbolRefAttr.get([EXECUTABLE, entry.symbol])])
        segments = ir.DenseI32ArrayAttr.get([0, len(operands), 0, 0])
        return ir.Operation.create(
            "flow.dispatch",
            results=[result],
            operands=list(operands),
            attributes={"entry_points": target, "operandSegmentSizes": segments},
        ).result

    def write(self, module: ir.Module) -> None:
        """Puts the executable into the module and names the one device it is for."""
        if not self.entries:
            return
        executable_target = self.target.executable_target
        device = f'#hal.device.target<"local", [{executable_target}]> : !hal.device'
        module.operation.attributes["hal.device.targets"] = ir.ArrayAttr.get([ir.Attribute.parse(device)])
        source = ir.Module.parse(self._text(), context=module.context)
        with ir.InsertionPoint.at_block_begin(module.body):
            for op in source.body.operations:
                op.operation.clone()

    def _text(self) -> str:
        executable_target = self.target.executable_target
        architecture = bitcode.architecture(executable_target)
        objects = ", ".join(_object(isa, family, architecture) for family, isa in self.families.items())
        exports = "\n".join(_export(entry) for entry in self.entries)
        signatures = dict.fromkeys((entry.kernel, len(entry.sizes)) for entry in self.entries)
        declarations = "\n".join(_declaration(kernel, operands) for kernel, operands in signatures)
        functions = "\n".join(_function(entry) for entry in self.entries)
        return f"""
stream.executable private @{EXECUTABLE} attributes {{
    hal.executable.objects = #hal.executable.objects<{{ {executable_target} = [{objects}] }}> }} {{
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


def _bytes(kind: ir.Type) -> int:
    size = 4 if kind.element_type == build.f32() else 1
    for dim in kind.shape:
        size *= dim
    return size


def _export(entry: _Entry) -> str:
    x, y = entry.workgroups
    return f"""  stream.executable.export public @{entry.symbol} workgroups() -> (index, index, index) {{
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


def _function(entry: _Entry) -> str:
    """Bare pointers do not include a binding's offset, so each offset travels beside its pointer."""
    count = len(entry.sizes)
    lines = [
        f"    func.func @{entry.symbol}({', '.join(f'%b{i}: !stream.binding' for i in range(count))}) {{"
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
    arguments = [f"%p{i}" for i in range(count)] + [f"%o{i}" for i in range(count)] + ["%x", "%y"]
    lines.append(f"      func.call @{entry.kernel}({', '.join(arguments)}) : ({_types(count)}) -> ()")
    return "\n".join([*lines, "      return", "    }"])
