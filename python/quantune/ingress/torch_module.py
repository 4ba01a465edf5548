"""MODEL on the command line → torch.nn.Module, for whoever needs the network as PyTorch has it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from quantune.data.preprocessing import Preprocessing
from quantune.errors import QuantuneError
from quantune.ingress.model import safe_name

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TorchModel:
    """A module in eval mode with what is known about it.

    name: safe in file names. input_shape: (C, H, W). preprocessing: None when nothing says it.
    trained: False when the weights are known to be random.
    """

    name: str
    module: torch.nn.Module
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing | None = None
    trained: bool = True


def load_torch(spec: str, weights: Path | None = None, shape: Shape | None = None) -> TorchModel:
    """`zoo:NAME`, `file.py:factory` or `file.pt2`, with `weights` and for pictures of `shape` where given.

    Raises QuantuneError for forms that hold no PyTorch network, and for whatever is wrong with the model.
    """
    if spec.startswith("zoo:"):
        return _from_zoo(spec, weights, shape)
    if re.search(r"\.py:\w+$", spec):
        return _from_factory(spec, weights, shape)
    if spec.endswith(".pt2"):
        return _from_program(spec)
    raise QuantuneError(f"{spec} holds no PyTorch network; give zoo:NAME, file.py:factory or file.pt2")


def _from_zoo(spec: str, weights: Path | None, shape: Shape | None) -> TorchModel:
    from quantune import zoo
    from quantune.ingress.state import load_weights

    name = spec.removeprefix("zoo:")
    if weights is None:
        module, entry, trained = zoo.load(name)
    else:
        entry, trained = zoo.entry(name), True
        module = entry.factory()
        load_weights(module, weights)
    preprocessing, wanted = entry.preprocessing, entry.input_shape
    if shape is not None:
        wanted = _checked(shape)
        preprocessing = replace(preprocessing, size=(wanted[1], wanted[2]))
    return TorchModel(name, module.eval(), wanted, preprocessing, trained)


def _from_factory(spec: str, weights: Path | None, shape: Shape | None) -> TorchModel:
    from quantune.ingress import factory
    from quantune.ingress.state import load_weights, looks_untrained

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
    name = safe_name(f"{Path(path).stem}-{function}")
    return TorchModel(name, built.module.float().eval(), wanted, preprocessing, trained)


def _from_program(spec: str) -> TorchModel:
    from quantune.ingress import archive

    program = archive.load_program(Path(spec))
    _, *dims = archive.input_shape(program, spec)
    return TorchModel(safe_name(Path(spec).stem), torch.export.unflatten(program), _checked(tuple(dims)))


def _checked(shape: Shape) -> tuple[int, int, int]:
    from quantune.ingress.factory import checked_shape

    return checked_shape(shape, "the input shape")
