"""One module with a function for every (shape, precision), made by the passes that models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iree.compiler import ir
from iree.compiler.dialects import arith, func

from quantune.backend import pipeline
from quantune.costs.functions import Function, retype, split_results
from quantune.costs.operations import add_layer, argument_shapes
from quantune.costs.shapes import Shape
from quantune.graph.extract import extract
from quantune.graph.model import Graph
from quantune.ir import build, quant, values
from quantune.ir.session import Workspace, to_bytecode
from quantune.passes.base import Pass, Report, run
from quantune.passes.cancel_qdq import CancelQdq
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.name_layers import NameLayers
from quantune.plan.schema import LayerPlan, Plan, Quantization

STORED = Quantization(8, 0.05, 0)
"""Of every activation: no kernel's time depends on it."""


@dataclass(frozen=True)
class Work:
    """A shape in a precision: "f32", "w8a8" … "w4a8" for contractions, "a8" for the rest."""

    shape: Shape
    precision: str

    @property
    def weight_bits(self) -> int | None:
        return int(self.precision[1]) if self.precision.startswith("w") else None


@dataclass(frozen=True)
class Written:
    """`source`: the module as bytecode; `functions`: one for every work; @nothing does nothing."""

    source: bytes
    functions: tuple[Function, ...]


def write(works: Sequence[Work], kernels: KernelTarget) -> Written:
    """Integer works take and return stored values, so that what is timed holds no boundary.

    Paddings are in place already, as producers leave them. Weights are normally distributed.
    """
    with Workspace() as workspace:
        module = ir.Module.parse("module {}", context=workspace.context)
        _add_main(module, works)
        run(module, NameLayers())
        plan = _plan(extract(module), works)
        passes = pipeline.quantize(plan, kernels)
        at = 1 + next(i for i, step in enumerate(passes) if isinstance(step, CancelQdq))
        run(module, *passes[:at], _keep_stored(works), *passes[at:])
        functions = split_results(module, [work.shape.key for work in works])
        _add_nothing(module)
        return Written(to_bytecode(module), functions)


@dataclass(frozen=True)
class KeepStored(Pass):
    """Arguments that are only quantized become i8, and so do results that are only dequantized.

    Options:
        arguments, results: which ones stay f32.
    """

    arguments: frozenset[int] = frozenset()
    results: frozenset[int] = frozenset()

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        block = values.body(function)
        for position, argument in enumerate(block.arguments):
            users = values.users(argument)
            if position not in self.arguments and users and all(op.name == quant.QUANTIZE for op in users):
                argument.set_type(build.tensor_type(values.shape(argument), build.integer(8)))
                for op in users:
                    with ir.InsertionPoint(op):
                        stored = quant.from_storage(argument, values.element_type(op.results[0]))
                    op.results[0].replace_all_uses_with(stored)
                    op.erase()
        end = values.terminator(function)
        for index, result in enumerate(end.operands):
            quantized = quant.quantized_source(result)
            if index not in self.results and quantized is not None:
                with ir.InsertionPoint(end):
                    end.operands[index] = quant.storage(quantized)
        retype(function)
        return {}


def _add_main(module: ir.Module, works: Sequence[Work]) -> None:
    """@main, in which work i is the layer `w<i>`."""
    dims = [argument_shapes(work.shape) for work in works]
    kinds = [build.tensor_type(shape, build.f32()) for group in dims for shape in group]
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("main", (kinds, []))
    block = function.add_entry_block()
    arguments = iter(block.arguments)
    results = []
    with ir.InsertionPoint(block):
        for index, (work, group) in enumerate(zip(works, dims, strict=True)):
            with ir.Location.file(f"torch:w{index}|costs", 1, 0):
                result = add_layer(work.shape, [next(arguments) for _ in group])
                if work.precision != "f32":  # a reshape in integers reads the stored form
                    result = build.reshape(result, [work.shape.elements])
            results.append(result)
        func.ReturnOp(results)
    retype(function.operation)


def _plan(graph: Graph, works: Sequence[Work]) -> Plan:
    layers = {}
    for layer in graph:
        work = works[int(layer.name.split(".")[0][1:])]
        bits = work.weight_bits if layer.is_contraction else None
        layers[layer.name] = LayerPlan("float" if work.precision == "f32" else "integer", STORED, bits)
    inputs = dict.fromkeys(graph.inputs, STORED)
    return Plan("costs", graph.fingerprint, "costs", "", inputs, layers)


def _keep_stored(works: Sequence[Work]) -> KeepStored:
    """All but what is measured for crossing from f32 or to it."""
    arguments, results, position = set(), set(), 0
    for index, work in enumerate(works):
        if work.shape.kind == "quantize":
            arguments.add(position)
        elif work.shape.kind == "dequantize":
            results.add(index)
        position += len(argument_shapes(work.shape))
    return KeepStored(frozenset(arguments), frozenset(results))


def _add_nothing(module: ir.Module) -> None:
    """@nothing: one dispatch over a handful of numbers. Calling it takes what calling any function takes."""
    kind = build.tensor_type([4], build.f32())
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("nothing", ([kind], [kind]))
    block = function.add_entry_block()
    with ir.InsertionPoint(block):
        argument = block.arguments[0]
        one = build.scalar(1.0, build.f32())
        func.ReturnOp([build.elementwise([argument], build.f32(), lambda x: arith.AddFOp(x, one).result)])
