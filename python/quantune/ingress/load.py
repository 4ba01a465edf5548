"""MODEL on the command line → Model: the one entrance to the room."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from quantune.ingress.model import Model
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
        return _from_zoo
    if re.search(r"\.py:\w+$", spec):
        return _from_factory
    if spec.endswith(".py"):
        raise QuantuneError(f"{spec}: say which function of the file makes the model, as in {spec}:factory")
    if spec.endswith((".pt", ".pth", ".safetensors", ".ckpt")):
        raise QuantuneError(f"{spec} holds weights, not a model: give file.py:factory --weights {spec}")
    routes: dict[str, _Route] = {".pt2": _from_program, ".mlir": _from_mlir, ".mlirbc": _from_mlir}
    if Path(spec).suffix not in routes:
        raise QuantuneError(f"'{spec}' is no model; give {FORMS}")
    return routes[Path(spec).suffix]


def _from_zoo(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    import torch

    from quantune import zoo
    from quantune.ingress import from_torch
    from quantune.ingress.state import load_weights, release

    name = spec.removeprefix("zoo:")
    if weights is None:
        module, entry, trained = zoo.load(name)
    else:
        entry, trained = zoo.entry(name), True
        module = entry.factory()
        load_weights(module, weights)
    preprocessing = entry.preprocessing
    if shape is not None:
        preprocessing = replace(preprocessing, size=(_checked(shape)[1], _checked(shape)[2]))
    imported = from_torch.import_torch(
        workspace, module, torch.zeros(1, *_checked(shape or entry.input_shape))
    )
    release(module)
    return _Imported(name, imported, preprocessing, trained)


def _from_factory(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    import torch

    from quantune.ingress import factory, from_torch
    from quantune.ingress.state import load_weights, looks_untrained, release

    path, _, function = spec.rpartition(":")
    built = factory.build(Path(path), function)
    if weights is not None:
        load_weights(built.module, weights)
    wanted = _checked(shape) if shape is not None else built.input_shape
    if wanted is None:
        raise QuantuneError(f"{spec} does not say its input's shape; write INPUT_SHAPE = (C, H, W) in {path}")
    preprocessing = built.preprocessing
    if preprocessing is not None and preprocessing.shape != wanted:
        preprocessing = replace(preprocessing, size=(wanted[1], wanted[2]))
    trained = weights is not None or not looks_untrained(built.module)
    imported = from_torch.import_torch(workspace, built.module.float(), torch.zeros(1, *wanted))
    release(built.module)
    return _Imported(_safe(f"{Path(path).stem}-{function}"), imported, preprocessing, trained)


def _from_program(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    from quantune.ingress import archive, from_torch

    _no_weights(spec, weights)
    program = archive.load_program(Path(spec))
    archive.input_shape(program, spec)
    return _Imported(_safe(Path(spec).stem), from_torch.import_program(workspace, program))


def _from_mlir(workspace: Workspace, spec: str, weights: Path | None, shape: Shape | None) -> _Imported:
    _no_weights(spec, weights)
    return _Imported(_safe(Path(spec).stem), import_mlir(workspace, Path(spec)))


def _no_weights(spec: str, weights: Path | None) -> None:
    if weights is not None:
        raise QuantuneError(f"{spec} carries its own weights; leave out --weights {weights}")


def _checked(shape: Shape) -> tuple[int, int, int]:
    from quantune.ingress.factory import checked_shape

    return checked_shape(shape, "the input shape")


def _safe(name: str) -> str:
    return re.sub(r"[^\w@.+-]+", "_", name)


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
