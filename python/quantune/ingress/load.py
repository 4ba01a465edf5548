"""MODEL on the command line → Model: the one entrance to the room."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from iree.compiler import ir

from quantune import files
from quantune.backend import pipeline
from quantune.data.preprocessing import Preprocessing, default_preprocessing
from quantune.errors import QuantuneError
from quantune.graph.extract import extract
from quantune.graph.model import Graph
from quantune.ingress.from_mlir import check_signature, import_mlir
from quantune.ingress.model import Model, safe_name
from quantune.ir.session import Workspace
from quantune.ir.values import main_function, shape, terminator
from quantune.passes.base import run

FORMS = "zoo:NAME, file.py:factory, file.pt2, file.mlir or file.mlirbc"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Imported:
    name: str
    module: ir.Module
    preprocessing: Preprocessing | None = None
    trained: bool = True


def load_model(
    spec: str,
    weights: Path | None = None,
    input_shape: Shape | None = None,
    folder: Path | None = None,
) -> Model:
    """Imports a model and runs the float passes.

    spec: `zoo:NAME`, `file.py:factory`, `file.pt2`, `file.mlir` or `file.mlirbc`.
    weights: a state dict (safetensors or PyTorch) for the first two forms.
    input_shape: (C, H, W) where the model does not say, or for another picture size.
    folder: where the two modules are left, as `<name>.original.mlirbc` and `<name>.reference.mlirbc`; without
        it they lie in a temporary folder that goes with the Model.
    Raises QuantuneError (UnsupportedError, where the model is at fault), one line naming the culprit.
    """
    route = _route(spec)
    with Workspace() as workspace:
        imported = route(workspace, spec, weights, input_shape)
        module, label = imported.module, spec
        function_shape = check_signature(module, label)
        if input_shape is not None and tuple(input_shape) != function_shape[1:]:
            raise QuantuneError(f"{spec} takes {list(function_shape[1:])} (C, H, W), not {list(input_shape)}")
        storage = tempfile.TemporaryDirectory(prefix="quantune-") if folder is None else None
        place = Path(storage.name) if storage is not None else folder
        assert place is not None
        original, reference = (place / f"{imported.name}.{kind}.mlirbc" for kind in ("original", "reference"))
        _write(module, original)
        with np.errstate(over="ignore", invalid="ignore"):  # _check_finite says it in words
            reports = run(module, *pipeline.FLOAT)
        graph = extract(module)
        _check_finite(graph, spec)
        _write(module, reference)
        classes = _classes(module)
    return Model(
        name=imported.name,
        spec=spec,
        original_path=original,
        reference_path=reference,
        graph=graph,
        input_shape=function_shape,
        preprocessing=imported.preprocessing or _guess(function_shape),
        classes=classes,
        trained=imported.trained,
        reports=dict(reports),
        storage=storage,
    )


_Route = Callable[[Workspace, str, Path | None, Shape | None], _Imported]


def _route(spec: str) -> _Route:
    if spec.startswith("zoo:"):
        return _from_module
    if re.search(r"\.py:\w+$", spec):
        return _from_module
    if spec.endswith(".py"):
        raise QuantuneError(f"{spec}: say which function of the file makes the model, as in {spec}:factory")
    if spec.endswith((".pt", ".pth", ".safetensors", ".ckpt")):
        raise QuantuneError(f"{spec} holds weights, not a model: give file.py:factory --weights {spec}")
    routes: dict[str, _Route] = {".pt2": _from_program, ".mlir": _from_mlir, ".mlirbc": _from_mlir}
    if Path(spec).suffix not in routes:
        raise QuantuneError(f"'{spec}' is no model; give {FORMS}")
    return routes[Path(spec).suffix]


def _from_module(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    import torch

    from quantune.ingress import from_torch
    from quantune.ingress.state import release
    from quantune.ingress.torch_module import load_torch

    found = load_torch(spec, weights, shape)
    imported = from_torch.import_torch(workspace, found.module, torch.zeros(1, *found.input_shape))
    release(found.module)
    return _Imported(found.name, imported, found.preprocessing, found.trained)


def _from_program(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    from quantune.ingress import archive, from_torch

    _no_weights(spec, weights)
    program = archive.load_program(Path(spec))
    archive.input_shape(program, spec)
    return _Imported(safe_name(Path(spec).stem), from_torch.import_program(workspace, program))


def _from_mlir(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    _no_weights(spec, weights)
    return _Imported(safe_name(Path(spec).stem), import_mlir(workspace, Path(spec)))


def _no_weights(spec: str, weights: Path | None) -> None:
    if weights is not None:
        raise QuantuneError(f"{spec} carries its own weights; leave out --weights {weights}")


def _write(module: ir.Module, path: Path) -> None:
    """Streams bytecode to a file: no second copy of the weights in memory."""
    with files.replacing(path) as temporary, temporary.open("wb") as stream:
        module.operation.write_bytecode(stream)


def _check_finite(graph: Graph, spec: str) -> None:
    """Finite weights can fold to infinite ones: a batch norm with a zero or negative variance."""
    for layer in graph:
        for array in (layer.weight, layer.bias):
            if array is not None and not np.isfinite(array).all():
                raise QuantuneError(
                    f"{spec}: layer {layer.name} has NaN or infinite weights with its batch norm folded in; "
                    "repair its running variance, or retrain"
                )


def _classes(module: ir.Module) -> int | None:
    dims = shape(terminator(main_function(module)).operands[0])
    return dims[1] if len(dims) == 2 and dims[0] == 1 else None


def _guess(function_shape: Shape) -> Preprocessing | None:
    _, channels, height, width = function_shape
    return default_preprocessing((channels, height, width)) if channels in (1, 3) else None
