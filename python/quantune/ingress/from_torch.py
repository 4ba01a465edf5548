"""torch.nn.Module → torch.export → torch-mlir → linalg on tensors, in IREE's own MLIR context.

torch-mlir and IREE carry separate copies of MLIR, so the module crosses as text. The weights do not: they
stay in torch's memory, the text names them (`dense_resource<weight_3>`), and they enter IREE's context as
`DenseElementsAttr`, which numpy reads without copying element by element.

The path of the torch module that issued an operation travels as that operation's location, which every
lowering keeps: `loc("torch:layer1.0.conv1|model.py":19:0)`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from iree.compiler import ir
from numpy.typing import NDArray

from quantune.errors import QuantuneError, UnsupportedError
from quantune.ir.session import Workspace

LOCATION_PREFIX = "torch:"


def import_torch(workspace: Workspace, model: torch.nn.Module, example: torch.Tensor) -> ir.Module:
    """Imports `model`, called with one image tensor [1, C, H, W], as `func.func @main`.

    Raises:
        UnsupportedError: an operation torch-mlir cannot import, dynamic shapes, integer outputs.
        QuantuneError: NaN or infinite weights.
    """
    check_weights(model.state_dict())  # first: torch's own message would name an operation
    return import_program(workspace, export(model, example))


def export(model: torch.nn.Module, example: torch.Tensor) -> torch.export.ExportedProgram:
    """torch.export with static shapes; raises UnsupportedError with torch's first line if that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(model.eval(), (example,))
        except Exception as error:
            raise UnsupportedError(
                f"torch.export cannot trace {type(model).__name__}: {_first_line(error)}; "
                "it must be free of data-dependent control flow and take one image tensor"
            ) from error


def import_program(workspace: Workspace, program: torch.export.ExportedProgram) -> ir.Module:
    """Lowers an exported program to linalg in `workspace`'s context."""
    from torch_mlir.extras.fx_decomp_util import get_decomposition_table

    _check_static(program)
    check_weights({**program.state_dict, **_tensors(program.constants)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = program.run_decompositions(get_decomposition_table())
        except Exception as error:
            raise UnsupportedError(f"torch cannot decompose the model: {_first_line(error)}") from error
        _check_pure(program)
        for node in program.graph.nodes:
            where = f"{LOCATION_PREFIX}{_layer_path(node, program.state_dict)}|{_source(node)[0]}"
            node.meta["stack_trace"] = f'File "{where}", line {_source(node)[1]}, '
        weights: dict[str, NDArray[Any]] = {}
        text = _lower(program, weights)
    module = workspace.parse(text, "the output of torch-mlir")
    _insert_weights(module, weights)
    return module


def _lower(program: torch.export.ExportedProgram, weights: dict[str, NDArray[Any]]) -> str:
    """Linalg as text, in which `dense_resource<NAME>` stands for weights[NAME].

    What torch_mlir.fx does, without the copy of the module that it leaves in the temporary folder on failure.
    """
    from torch_mlir import ir as torch_ir
    from torch_mlir.dialects import torch as torch_dialect
    from torch_mlir.extras.fx_importer import FxImporter, FxImporterHooks
    from torch_mlir.passmanager import PassManager

    class KeepWeights(FxImporterHooks):  # type: ignore[misc]
        def resolve_literal(self, importer: Any, literal: Any, info: Any) -> Any:
            return _literal(literal, weights)

    context = torch_ir.Context()
    torch_dialect.register_dialect(context)
    importer = FxImporter(context=context, hooks=KeepWeights())
    try:
        importer.import_frozen_program(program, func_name="main")
        with context:
            for pipeline in _TORCH_TO_LINALG:
                PassManager.parse(f"builtin.module({pipeline})").run(importer.module.operation)
    except Exception as error:
        raise UnsupportedError(f"torch-mlir cannot import the model: {_diagnosis(error)}") from error
    return str(importer.module.operation.get_asm(enable_debug_info=True, large_resource_limit=0))


_TORCH_TO_LINALG = (
    "func.func(torch-match-quantized-custom-ops),torchdynamo-export-to-torch-backend-pipeline",
    "torch-backend-to-linalg-on-tensors-backend-pipeline{allow-non-finites=true}",
)


def check_weights(state: dict[str, torch.Tensor]) -> None:
    """Raises QuantuneError naming the first tensor that holds NaN, infinity or a negative variance."""
    for name, tensor in state.items():
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise QuantuneError(f"{name} holds a negative variance; retrain or repair the checkpoint")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise QuantuneError(
                f"weight {name} holds {bad} NaN or infinite value(s); retrain or repair the checkpoint"
            )


def _literal(literal: Any, weights: dict[str, NDArray[Any]]) -> Any:
    from torch_mlir import ir as torch_ir
    from torch_mlir.extras.fx_importer import TORCH_DTYPE_TO_MLIR_TYPE, create_mlir_tensor_type

    if (
        not isinstance(literal, torch.Tensor)
        or literal.numel() <= 1
        or literal.dtype not in (torch.float32, torch.int64)
    ):
        return None  # torch-mlir's own way, which keeps small constants foldable
    with torch.utils._python_dispatch._disable_current_modes():
        array = literal.detach().contiguous().numpy()
    name = f"weight_{len(weights)}"
    weights[name] = array
    attribute = torch_ir.DenseResourceElementsAttr.get_from_buffer(
        array, name, create_mlir_tensor_type(literal)
    )
    shape = ",".join(str(d) for d in literal.shape)
    kind = torch_ir.Type.parse(f"!torch.vtensor<[{shape}],{TORCH_DTYPE_TO_MLIR_TYPE[literal.dtype]()}>")
    return torch_ir.Operation.create(
        "torch.vtensor.literal", results=[kind], attributes={"value": attribute}
    ).result


def _insert_weights(module: ir.Module, weights: dict[str, NDArray[Any]]) -> None:
    """Replaces every `dense_resource<weight_N>` by the tensor it stands for."""

    def visit(op: ir.Operation) -> ir.WalkResult:
        if op.name == "arith.constant" and (
            match := re.match(r"dense_resource<(weight_\d+)>", str(op.attributes["value"]))
        ):
            op.attributes["value"] = ir.DenseElementsAttr.get(
                weights[match[1]], type=op.results[0].type.element_type
            )
        return ir.WalkResult.ADVANCE

    with module.context:
        module.operation.walk(visit)


def _tensors(constants: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in constants.items() if isinstance(value, torch.Tensor)}


def _check_pure(program: torch.export.ExportedProgram) -> None:
    signature = program.graph_signature
    for name in [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]:
        raise UnsupportedError(f"the model changes {name} as it runs; call model.eval() before torch.export")


def _check_static(program: torch.export.ExportedProgram) -> None:
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and any(not isinstance(d, int) for d in value.shape):
            raise UnsupportedError(
                f"{_module_path(node)} has the dynamic shape {tuple(value.shape)}; "
                "export the model with static shapes (batch 1)"
            )
    outputs = next(n for n in program.graph.nodes if n.op == "output").args[0]
    for node in outputs:
        value = node.meta.get("val") if isinstance(node, torch.fx.Node) else None
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, torch.Tensor) else type(node).__name__
            raise UnsupportedError(
                f"the model returns {kind}; Quantune needs floating-point tensors: return the logits"
            )


def _module_path(node: torch.fx.Node) -> str:
    """`layer1.0.conv1` for a torch.nn layer's own operation; `layer1.0.add` for one in a module's forward."""
    operation = getattr(node.target, "__name__", str(node.target)).split(".")[0].strip("_")
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return operation
    path, kind = list(stack.values())[-1]
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    if kind.startswith("torch.nn.modules.") and path:
        return str(path)
    return f"{path}.{operation}" if path else operation


def _layer_path(node: torch.fx.Node, state: Mapping[str, Any]) -> str:
    """Like `_module_path`, but a contraction in a user's own layer is called what owns its weight."""
    path = _module_path(node)
    owner, _, operation = path.rpartition(".")
    return owner if operation in ("convolution", "addmm", "mm") and f"{owner}.weight" in state else path


def _source(node: torch.fx.Node) -> tuple[str, int]:
    """The innermost frame outside torch: (file name, line)."""
    frames = re.findall(r'File "([^"]+)", line (\d+), ', node.meta.get("stack_trace") or "")
    user = [(f, n) for f, n in frames if "/torch/" not in f and "|" not in f]
    return (user[-1][0].rsplit("/", 1)[-1], int(user[-1][1])) if user else ("", 0)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _diagnosis(error: BaseException) -> str:
    """`conv1 (model.py line 19): torch.aten.foo is not supported`, as far as the error tells."""
    found = next(iter(getattr(error, "error_diagnostics", ())), None)
    if found is None:
        return _first_line(error)
    message = str(found.message).split(": %")[0]
    if name := re.search(r'name = "(torch\.[\w.]+)"', str(found.message)):
        message = f"{name[1]} is not supported; replace it in the model"
    place = re.search(r'"torch:([^|"]+)\|([^"]*)":(\d+)', str(found.location))
    return f"{place[1]} ({place[2]} line {place[3]}): {message}" if place else message
