"""Calling microkernels: requests while layers are chosen, then a `flow.dispatch` each when all are known."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from iree.compiler import ir

from quantune.ir import build, values
from quantune.passes.image_views import View, tensor_bytes, view_of
from quantune.passes.in_place import in_place
from quantune.passes.kernel_call import KernelCall, Pack
from quantune.passes.kernel_executable import EXECUTABLE, Entry, executable
from quantune.passes.place_results import Home, find_homes
from quantune.passes.ukernels import bitcode
from quantune.passes.ukernels.image import Placement
from quantune.passes.ukernels.layouts import Layout, layout_of

NOT_TIED = -1  # in `tied_operands`: a result of its own
RESIDUAL = 1  # its number among a kernel's operands


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


@dataclass
class Kernels:
    """Collects the kernels that a module calls, then decides where results lie and writes dispatches."""

    target: KernelTarget
    calls: list[KernelCall] = field(default_factory=list)
    families: dict[str, str] = field(default_factory=dict)  # to the instruction set
    entries: dict[str, Entry] = field(default_factory=dict)  # by symbol

    def request(
        self,
        layer: str,
        family: str,
        image: ir.Value,
        residual: ir.Value | None,
        result: ir.RankedTensorType,
        pack: Pack,
        *,
        whole_rows: bool = False,
        reads_views: bool = True,
        writes_views: bool = True,
        never_negative: bool = False,
        memory: int = 0,
    ) -> ir.Value:
        """The result of a kernel; `write` puts the dispatch there. The rest is as in KernelCall."""
        operands = [image, *([] if residual is None else [residual])]
        op = ir.Operation.create("builtin.unrealized_conversion_cast", results=[result], operands=operands)
        views = (reads_views, writes_views)
        call = KernelCall(op, layer, family, pack, whole_rows, *views, never_negative, memory)
        self.calls.append(call)
        return call.result

    def makes(self, value: ir.Value) -> bool:
        """Whether a kernel has been requested for it."""
        return any(call.result == value for call in self.calls)

    def write(self, module: ir.Module) -> None:
        """Replaces the requests, puts the executable into the module and names the one device it is for.

        Storage casts must have been folded (`place_results.fold_casts`): they hide who reads what.
        """
        if not self.calls:
            return
        order = {op: index for index, op in enumerate(values.operations(values.main_function(module)))}
        self.calls.sort(key=lambda call: order[call.request])
        homes = find_homes(module, self.calls)
        for call in self.calls:
            with ir.InsertionPoint(call.request), call.request.location:
                self._dispatch(call, homes[call])
        self._write_executable(module)

    def _dispatch(self, call: KernelCall, home: Home) -> None:
        """Writes one dispatch; with the last one of a home, whoever reads its values gets them from there."""
        views = [
            view_of(value, whole_pixels=number == 0 and call.whole_rows) if call.reads_views else View(value)
            for number, value in enumerate(call.request.operands)
        ]
        images = [view.image for view in views]
        where = Placement(images[0], home.image(call), images[1] if images[1:] else None, home.frame)
        blob, workgroups = call.pack(where)
        operands = [*(view.base for view in views), build.bytes_constant(blob)]
        tied = NOT_TIED
        if home.shared:
            tied = len(operands)
            operands.append(home.tensor or build.empty(home.kind.shape, home.kind.element_type))
        elif in_place(call, home, views):
            tied = RESIDUAL
        results = [home.kind]
        if call.memory:
            results.append(build.tensor_type([workgroups[0] * call.memory], build.integer(8)))
        bindings = [*(value.type for value in operands), *results[tied != NOT_TIED :]]
        wanted = (*range(len(bindings)), *([RESIDUAL] if tied == RESIDUAL else []))
        symbol = self._export(call, tuple(map(tensor_bytes, bindings)), wanted, workgroups)
        home.tensor = _flow_dispatch(symbol, operands, results, tied)
        if call is home.members[-1][0]:
            home.publish()

    def _export(
        self, call: KernelCall, sizes: tuple[int, ...], operands: tuple[int, ...], workgroups: tuple[int, int]
    ) -> str:
        """The symbol of a new export, which profiles and reports show: `layer1.0.conv1$qconv_avx2`."""
        isa = self.target.isa(call.family)
        assert isa is not None, call.family
        self.families[call.family] = isa
        name = re.sub(r"[^\w.]", "_", call.layer) + f"${call.family}_{isa}"
        symbol = next(s for s in _numbered(name) if s not in self.entries)
        self.entries[symbol] = Entry(symbol, f"{call.symbol}_{isa}", sizes, operands, workgroups)
        return symbol

    def _write_executable(self, module: ir.Module) -> None:
        target = self.target.executable_target
        device = f'#hal.device.target<"local", [{target}]> : !hal.device'
        module.operation.attributes["hal.device.targets"] = ir.ArrayAttr.get([ir.Attribute.parse(device)])
        text = executable(self.entries.values(), self.families, target)
        source = ir.Module.parse(text, context=module.context)
        with ir.InsertionPoint.at_block_begin(module.body):
            for op in source.body.operations:
                op.operation.clone()


def _numbered(name: str) -> Iterator[str]:
    """The name, then the name with numbers: layers that differ in odd characters only need two symbols."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def _flow_dispatch(
    symbol: str, operands: Sequence[ir.Value], results: Sequence[ir.RankedTensorType], tied: int
) -> ir.Value:
    """The first result, which takes the place of the operand `tied`."""
    attributes: dict[str, ir.Attribute] = {
        "entry_points": ir.ArrayAttr.get([ir.SymbolRefAttr.get([EXECUTABLE, symbol])]),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, len(operands), 0, 0]),
    }
    if tied != NOT_TIED:
        places = [tied, *[NOT_TIED] * (len(results) - 1)]
        index = ir.IndexType.get()
        attributes["tied_operands"] = ir.ArrayAttr.get([ir.IntegerAttr.get(index, at) for at in places])
    return ir.Operation.create(
        "flow.dispatch", results=list(results), operands=list(operands), attributes=attributes
    ).results[0]
