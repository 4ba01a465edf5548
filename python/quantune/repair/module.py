"""The module of a model, with repaired constants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from iree.compiler import ir
from iree.compiler.dialects import arith

from quantune.files import replacing
from quantune.graph.extract import anchor_of, layer_operations
from quantune.ingress.model import Model
from quantune.ir import build, match, values
from quantune.ir.session import Workspace, to_bytecode
from quantune.repair.repairs import Constants, Float, Repairs, repaired


def repaired_model(model: Model, repairs: Repairs, path: Path) -> Model:
    """The model whose reference module, written to `path`, has the new constants."""
    with Workspace() as workspace:
        module = workspace.load(model.reference_path)
        rewrite(module, repairs)
        with replacing(path) as temporary:
            temporary.write_bytes(to_bytecode(module))
    return replace(model, reference_path=path, graph=repaired(model.graph, repairs))


def rewrite(module: ir.Module, repairs: Repairs) -> None:
    """Replaces the constants of the layers that `name-layers` has formed; a bias may be new."""
    with module.context, ir.Location.unknown():
        for name, group in layer_operations(module).items():
            if (constants := repairs.layers.get(name)) is not None:
                _rewrite(group, constants)


def _rewrite(group: list[ir.Operation], constants: Constants) -> None:
    anchor = anchor_of(group)
    with anchor.location, ir.InsertionPoint(anchor):
        if constants.weight is not None:
            anchor.operands[1] = build.constant(constants.weight)
    if constants.bias is None:
        return
    for op in group[group.index(anchor) + 1 :]:
        vector = match.bias_operand(op, anchor.results[0])
        if vector is not None:
            _replace_operand(op, vector, constants.bias)
            return
    _add_bias(anchor, constants.bias)


def _replace_operand(op: ir.Operation, old: ir.Value, bias: Float) -> None:
    index = next(i for i, operand in enumerate(op.operands) if operand == old)
    with op.location, ir.InsertionPoint(op):
        op.operands[index] = build.constant(bias)


def _add_bias(anchor: ir.Operation, bias: Float) -> None:
    """An addition of its own, which belongs to the layer."""
    result = anchor.results[0]
    with anchor.location, ir.InsertionPoint.after(anchor):
        added = build.elementwise(
            [result, build.constant(bias)], build.f32(), lambda x, b: arith.AddFOp(x, b).result
        )
    owner = added.owner.operation
    owner.attributes[values.LAYER] = anchor.attributes[values.LAYER]
    result.replace_all_uses_except(added, owner)
