"""annotate-precision."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from iree.compiler import ir

from quantune.graph.extract import anchor_of, extract, layer_operations
from quantune.graph.model import CONTRACTIONS
from quantune.ir import quant, values
from quantune.numerics.scales.weights import layer_weights
from quantune.passes.base import Pass, Report
from quantune.plan.boundaries import integer_values
from quantune.plan.check import check_fits
from quantune.plan.schema import Plan


@dataclass(frozen=True)
class AnnotatePrecision(Pass):
    """Writes a plan's decisions onto the operations, where the following passes find them.

    Every operation of a layer gets `quantune.precision`; an integer contraction gets the quantized type of
    its weights; every value that will exist in integers gets its quantized type. Runs after `name-layers`.

    Options:
        plan: the plan (on the command line: the path of a plan.json).

    Before:
        %1 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv1"} ins(%x, %w) outs(%0)
    After:
        %1 = linalg.conv_2d_nhwc_hwcf {quantune.layer = "conv1", quantune.precision = "integer",
             quantune.weight_type = !quant.uniform<i8<-31:31>:f32:3, {…}>,
             quantune.output_type = !quant.uniform<u8:f32, 0.02:0>} ins(%x, %w) outs(%0)

    Rejects: a plan for another model, a layer it does not know, a precision without bits or scales.
    """

    plan: Plan = field(metadata={"help": "path of a plan.json"})

    def apply(self, module: ir.Module) -> Report:
        graph = extract(module)
        check_fits(self.plan, graph)
        stored = integer_values(graph, self.plan)
        for name, group in layer_operations(module).items():
            choice, anchor = self.plan.layers[name], anchor_of(group)
            for op in group:
                op.attributes[quant.PRECISION] = ir.StringAttr.get(choice.precision)
            if choice.precision == "integer" and graph.layer(name).kind in CONTRACTIONS:
                weight, scales = layer_weights(graph.layer(name), choice)
                kind = quant.weight_type(choice.weight_bits or 8, weight.ndim - 1, list(np.ravel(scales)))
                anchor.attributes[quant.WEIGHT_TYPE] = ir.TypeAttr.get(kind)
            if name in stored:
                group[-1].attributes[quant.OUTPUT_TYPE] = ir.TypeAttr.get(quant.activation_type(stored[name]))
        function = values.main_function(module)
        types = [quant.activation_type(stored[n]) if n in stored else None for n in graph.inputs]
        marks = [ir.DictAttr.get({quant.OUTPUT_TYPE: ir.TypeAttr.get(t)} if t else {}) for t in types]
        if any(types):
            function.attributes["arg_attrs"] = ir.ArrayAttr.get(marks)
        integer = sum(choice.precision == "integer" for choice in self.plan.layers.values())
        return {"integer_layers": integer, "float_layers": len(graph.layers) - integer}
