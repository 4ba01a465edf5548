"""instrument."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from iree.compiler import ir
from iree.compiler.dialects import func

from quantune.errors import QuantuneError
from quantune.graph.extract import anchor_of, layer_operations
from quantune.ir import match, quant, values
from quantune.passes.base import Pass, Report

OUTPUTS = "quantune.outputs"
"""On the function: the names of its results, once instrumented."""
TWIN = "/float"
"""Suffix of the layer that recomputes an integer layer in float from the same inputs."""


@dataclass(frozen=True)
class Instrument(Pass):
    """Makes the function return every layer's value, for calibration and to compare float and integer runs.

    Runs on the float module (statistics) or after `annotate-precision` (comparison). With twins, each integer
    contraction is also computed in float from the very inputs the integer one reads: the difference of the
    two is the layer's own error, whatever the layers before it did.

    Options:
        layers: only these (comma-separated); default all.
        twins: add a float twin for each integer contraction; its result is named `<layer>/float`.

    Before:
        func.func @main(%x) -> tensor<1x10xf32> { … return %9 }
    After:
        func.func @main(%x) -> (tensor<1x10xf32>, tensor<1x8x8x4xf32>, …)
            attributes {quantune.outputs = ["output0", "conv1", …]}

    Rejects: a layer that does not exist, a module whose layers have no names yet.
    """

    layers: str = ""
    twins: bool = False

    def apply(self, module: ir.Module) -> Report:
        groups = layer_operations(module)
        chosen = [name for name in self.layers.split(",") if name] or list(groups)
        if not groups:
            raise QuantuneError("instrument: the module has no named layers; run the pass name-layers first")
        if unknown := [name for name in chosen if name not in groups]:
            near = difflib.get_close_matches(unknown[0], groups, n=5, cutoff=0.3) or list(groups)[:5]
            raise QuantuneError(f"instrument: no layer {unknown[0]!r}; near matches: {', '.join(near)}")
        results = {name: groups[name][-1].results[0] for name in chosen}
        if self.twins:
            for name in chosen:
                if (
                    match.contraction_kind(anchor_of(groups[name])) is not None
                    and quant.precision_of(groups[name][-1]) == "integer"
                ):
                    results[name + TWIN] = _clone(groups[name], name + TWIN)
        _return(values.main_function(module), results)
        return {"outputs": list(results)}


def _clone(group: list[ir.Operation], name: str) -> ir.Value:
    """The layer once more, in float, beside the original."""
    mapping: dict[ir.Value, ir.Value] = {}
    with ir.InsertionPoint.after(group[-1]):
        for op in group:
            twin = op.clone()
            for index, operand in enumerate(op.operands):
                twin.operands[index] = mapping.get(operand, operand)
            for key in (quant.OUTPUT_TYPE, quant.WEIGHT_TYPE):
                if key in twin.attributes:
                    del twin.attributes[key]
            twin.attributes[values.LAYER] = ir.StringAttr.get(name)
            twin.attributes[quant.PRECISION] = ir.StringAttr.get("float")
            mapping |= dict(zip(op.results, twin.results, strict=True))
    return mapping[group[-1].results[0]]


def _return(function: ir.Operation, results: dict[str, ir.Value]) -> None:
    """Appends `results` to what the function returns and records all names."""
    end = values.terminator(function)
    returned = [*end.operands, *results.values()]
    with ir.InsertionPoint(end), end.location:
        func.ReturnOp(returned)
    names = [f"output{i}" for i in range(len(end.operands))] + list(results)
    end.erase()
    arguments = [a.type for a in values.body(function).arguments]
    function.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(arguments, [v.type for v in returned])
    )
    if "res_attrs" in function.attributes:
        del function.attributes["res_attrs"]
    function.attributes[OUTPUTS] = ir.ArrayAttr.get([ir.StringAttr.get(name) for name in names])
