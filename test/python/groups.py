"""Quantized modules of small independent layers, and their comparison with the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from iree.compiler import ir
from numpy.typing import NDArray

from case_ir import add_function
from cases import Case, choice, input_array, input_quantization
from quantune.backend import pipeline
from quantune.backend.runner import Runner
from quantune.graph.extract import extract
from quantune.graph.model import Graph
from quantune.ir import quant, values
from quantune.ir.session import Workspace, to_bytecode
from quantune.numerics import dequantize, quantize
from quantune.passes.base import Pass, Report, run
from quantune.passes.kernel_dispatch import KernelTarget
from quantune.passes.name_layers import NameLayers
from quantune.plan.boundaries import integer_values
from quantune.plan.schema import Plan
from quantune.reference import execute_float, execute_layer

Array = NDArray[Any]


@dataclass(frozen=True)
class Written:
    """A quantized module, its inputs, and everything needed to say what it must return.

    `floats`: inputs that are read in f32. `kernels`: contraction → what select-kernels chose for it.
    """

    source: bytes
    graph: Graph
    plan: Plan
    inputs: dict[str, Array]
    cases: tuple[Case, ...]
    floats: tuple[str, ...]
    kernels: dict[str, str]


def write(cases: Sequence[Case], kernels: KernelTarget = pipeline.NO_KERNELS) -> Written:
    """One module of which case i is the layer `g<i>`, quantized by the pipeline that models take."""
    with Workspace() as workspace:
        module = ir.Module.parse("module {}", context=workspace.context)
        arguments = add_function(module, cases)
        run(module, NameLayers())
        graph = extract(module)
        inputs, quantizations, floats = {}, {}, []
        names = iter(graph.inputs)
        for index, case in enumerate(cases):
            for position in range(arguments[index]):
                name = next(names)
                quantizations[name] = input_quantization(case, position)
                inputs[name] = input_array(case, position, graph, name, f"g{index}", quantizations[name])
                if position == 1 and case.residual == "float":
                    floats.append(name)
        exact = execute_float(graph, inputs)
        layers = {
            layer.name: choice(cases[int(layer.name[1:].split(".")[0])], layer, exact[layer.name])
            for layer in graph
        }
        for index, case in enumerate(cases):
            if case.alike:
                layers[f"g{index}"] = replace(
                    layers[f"g{index}"], output=quantizations[graph.layer(f"g{index}").inputs[0]]
                )
        plan = Plan("groups", graph.fingerprint, "test", "host", quantizations, layers)
        annotate, *rest = pipeline.quantize(plan, kernels)
        float_positions = tuple(list(graph.inputs).index(name) for name in floats)
        reports = run(module, annotate, ReadAsFloat(float_positions), *rest)
        choices = reports["select-kernels"]["choices"]
        return Written(to_bytecode(module), graph, plan, inputs, tuple(cases), tuple(floats), choices)


def check(written: Written, runner: Runner) -> None:
    """What the module returns equals, bit for bit, what the reference makes of the same inputs."""
    results = runner.run(list(written.inputs.values()))
    stored = integer_values(written.graph, written.plan)
    for index, (case, result) in enumerate(zip(written.cases, results, strict=True)):
        layer = written.graph.layer(f"g{index}")
        sources = [None if name in written.floats else stored[name] for name in layer.inputs]
        arrays = [
            written.inputs[name] if q is None else quantize(written.inputs[name], q)
            for name, q in zip(layer.inputs, sources, strict=True)
        ]
        output = stored.get(layer.name)
        assert (output is not None) == case.stored, case
        expected = execute_layer(layer, written.plan.layers[layer.name], arrays, sources, output)
        if output is not None:
            expected = dequantize(expected, output)
        np.testing.assert_array_equal(result.reshape(expected.shape), expected, err_msg=repr(case))


@dataclass(frozen=True)
class ReadAsFloat(Pass):
    """Takes the quantized type off arguments, whose readers then read f32."""

    arguments: tuple[int, ...] = ()

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        if self.arguments:
            marks = list(function.attributes["arg_attrs"])
            for index in self.arguments:
                assert quant.OUTPUT_TYPE in marks[index]
                marks[index] = ir.DictAttr.get({})
            function.attributes["arg_attrs"] = ir.ArrayAttr.get(marks)
        return {}
