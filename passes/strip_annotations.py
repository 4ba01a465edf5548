"""strip-annotations."""

from __future__ import annotations

from dataclasses import dataclass

from iree.compiler import ir

from quantune.ir import values
from quantune.passes.base import Pass, Report


@dataclass(frozen=True)
class StripAnnotations(Pass):
    """Removes every `quantune.*` attribute, so that nothing of ours reaches the code generator.

    Before:
        %1 = linalg.matmul {quantune.layer = "fc", quantune.precision = "integer"} ins(%x, %w) outs(%0)
    After:
        %1 = linalg.matmul ins(%x, %w) outs(%0)

    Left alone: all other attributes and the locations, which keep the layers' names for profiles.
    """

    def apply(self, module: ir.Module) -> Report:
        function = values.main_function(module)
        removed = 0
        for op in [function, *values.operations(function)]:
            for key in [name for name in op.attributes if name.startswith("quantune.")]:
                del op.attributes[key]
                removed += 1
        if "arg_attrs" in function.attributes:
            marked = list(function.attributes["arg_attrs"])
            kept = [{a.name: a.attr for a in marks if not a.name.startswith("quantune.")} for marks in marked]
            removed += sum(map(len, marked)) - sum(map(len, kept))
            function.attributes["arg_attrs"] = ir.ArrayAttr.get([ir.DictAttr.get(marks) for marks in kept])
        return {"removed": removed}
