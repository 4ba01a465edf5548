"""`file.py:factory`: a user's Python file that builds a torch.nn.Module."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from quantune.data.preprocessing import Preprocessing
from quantune.errors import QuantuneError, UnsupportedError


@dataclass(frozen=True)
class Built:
    """What a factory made, with what the module or else its file says about the input.

    input_shape: (C, H, W) from `input_shape` / `INPUT_SHAPE`, or from the preprocessing, or None.
    preprocessing: from `preprocessing` / `PREPROCESSING`, or None.
    """

    module: torch.nn.Module
    input_shape: tuple[int, int, int] | None
    preprocessing: Preprocessing | None


def build(path: Path, factory: str) -> Built:
    """Runs the file under a name of its own and calls the factory, both with torch's generator seeded.

    Seeded, so that random weights are the same each time and a plan made for them fits the next run too.
    Raises QuantuneError naming file and line for whatever goes wrong in the user's code.
    """
    with torch.random.fork_rng(devices=[]), _siblings_importable(path):
        torch.manual_seed(0)
        namespace = _execute(path)
        made = getattr(namespace, factory, None)
        if not callable(made):
            raise QuantuneError(_no_factory(path, factory, namespace))
        with _blaming(path, f"{factory}()"):
            module = made()
    if not isinstance(module, torch.nn.Module):
        raise QuantuneError(
            f"{path}:{factory} returned {type(module).__name__}; it must return a torch.nn.Module"
        )
    _check_inputs(module, f"{path}:{factory}")
    preprocessing = _attribute(module, namespace, "preprocessing")
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise QuantuneError(f"PREPROCESSING in {path} must be a quantune.data.Preprocessing")
    shape = _attribute(module, namespace, "input_shape")
    if shape is None and preprocessing is not None:
        shape = preprocessing.shape
    return Built(
        module, None if shape is None else checked_shape(shape, f"INPUT_SHAPE in {path}"), preprocessing
    )


def checked_shape(shape: Any, label: str) -> tuple[int, int, int]:
    """(C, H, W) of positive integers; raises QuantuneError naming `label`."""
    try:
        dims = tuple(int(d) for d in shape)
    except (TypeError, ValueError):
        dims = ()
    if len(dims) != 3 or min(dims) < 1:
        raise QuantuneError(
            f"{label} must be three positive numbers C, H, W, such as 3, 224, 224, not {shape}"
        )
    return dims


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        raise QuantuneError(f"no such file: {path}")
    name = f"quantune_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    namespace = importlib.util.module_from_spec(spec)
    sys.modules[name] = namespace  # dataclasses and torch.export look a class's module up
    with _blaming(path, "the file"):
        spec.loader.exec_module(namespace)
    return namespace


@contextlib.contextmanager
def _siblings_importable(path: Path) -> Iterator[None]:
    """The file's folder comes first on the search path, as it would for `python file.py`."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextlib.contextmanager
def _blaming(path: Path, what: str) -> Iterator[None]:
    """Turns any error of the user's code into one line with the place in the user's file."""
    try:
        yield
    except (Exception, SystemExit) as error:
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
        line = line or (frames[-1].lineno if frames else None)
        where = f"{path} line {line}" if line else str(path)
        reason = " ".join(str(error).split())[:300]
        raise QuantuneError(f"{where}: {what} failed with {type(error).__name__}: {reason}") from error


def _no_factory(path: Path, factory: str, namespace: ModuleType) -> str:
    own = [
        name
        for name, value in vars(namespace).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == namespace.__name__
    ]
    near = difflib.get_close_matches(factory, own, n=3, cutoff=0.5) or own[:5]
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "define a function that returns a torch.nn.Module"
    )
    return f"{path} has no function '{factory}'; {hint}"


def _check_inputs(module: torch.nn.Module, label: str) -> None:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # not a Python function: torch.export will say
        return
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    if len(required) > 1:
        raise UnsupportedError(
            f"{label} takes {len(required)} inputs ({', '.join(required)}); Quantune needs one image tensor: "
            "wrap the model in a module that fixes the others"
        )


def _attribute(module: torch.nn.Module, namespace: ModuleType, name: str) -> Any:
    own = getattr(module, name, None)
    return own if own is not None else getattr(namespace, name.upper(), None)
