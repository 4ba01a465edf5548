"""`file.pt2`: a program saved by torch.export, checked before torch opens it.

torch.export.load unpickles without restraint wherever an archive asks for it (weights and constants marked
so, custom objects, example inputs that do not load as plain tensors) and evaluates the expressions of dynamic
shapes as Python. A static CNN needs none of that, so an archive that has any of it is refused unread.
"""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from quantune.errors import QuantuneError, UnsupportedError

_CODE = "carries Python objects, which Quantune does not load because loading runs code"
_HARMLESS = re.compile(
    r"(archive_format|archive_version|version|byteorder|\.data/.*|extra/.*|models/.*\.json"
    r"|data/(weights|constants)/(\w+_config\.json|(weight|tensor)_\d+)|data/sample_inputs/.*\.pt)"
)
_SAFE_TARGETS = re.compile(r"torch\.ops\.|_operator\.getitem$")


def load_program(path: Path) -> torch.export.ExportedProgram:
    """Opens an archive that needs no code of its own.

    Raises QuantuneError when the file is missing, damaged or not safe to load, UnsupportedError for dynamic
    shapes and for operators that are not PyTorch's.
    """
    if not path.is_file():
        raise QuantuneError(f"no such file: {path}")
    try:
        _check(path)
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, TypeError) as error:
        raise QuantuneError(
            f"{path} is damaged or not written by torch.export.save; export it again"
        ) from error
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)  # torch logs a traceback of its own before it raises
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(path)
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise QuantuneError(
            f"{path} does not load with torch {torch.__version__}: {reason}; export it again"
        ) from error
    finally:
        logging.disable(level)


def input_shape(program: torch.export.ExportedProgram, label: str) -> tuple[int, ...]:
    """The shape of the program's only input; raises UnsupportedError when that is not one f32 tensor."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise UnsupportedError(
            f"{label} takes {len(names)} inputs; Quantune needs a model of one image tensor"
        )
    value = next(node.meta["val"] for node in program.graph.nodes if node.name == names[0])
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
        kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
        raise UnsupportedError(f"{label} takes {kind}; Quantune needs one image tensor of float32")
    return tuple(int(d) for d in value.shape)


def _check(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        # Of two entries with one name, torch might read the one that was not checked here.
        names = archive.namelist()
        root = names[0].split("/")[0]
        inner = [name.removeprefix(f"{root}/") for name in names]
        if f"{root}/archive_format" not in names or len(set(names)) != len(names):
            raise ValueError(path)
        if odd := [name for name in inner if not _HARMLESS.fullmatch(name)]:
            raise QuantuneError(f"{path} {_CODE} ({odd[0]}); export a plain module with torch.export.save")
        for name, short in zip(names, inner, strict=True):
            if short.endswith("_config.json"):
                _check_payload(json.loads(archive.read(name)), path)
            elif short.startswith("models/"):
                _check_graph(archive.read(name), path)
            elif short.startswith("data/sample_inputs/"):
                _check_plain(archive.read(name), path)


def _check_payload(config: dict[str, Any], path: Path) -> None:
    for name, payload in config["config"].items():
        plain = re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"])
        if payload.get("use_pickle") is not False or not plain:
            raise QuantuneError(f"{path} {_CODE} ({name}); export a plain module with torch.export.save")


def _check_graph(content: bytes, path: Path) -> None:
    for item in _objects(json.loads(content)):
        if "as_expr" in item or "expr_str" in item:
            raise UnsupportedError(f"{path} has dynamic shapes; export it with static shapes (batch 1)")
        target = item.get("target")
        if isinstance(target, str) and "inputs" in item and not _SAFE_TARGETS.match(target):
            raise UnsupportedError(
                f"{path} uses {target}, which cannot be imported; use PyTorch's own operators"
            )
    if b"__enum__" in content:
        raise QuantuneError(f"{path} {_CODE} (an enumeration); export a plain module with torch.export.save")


def _objects(value: Any) -> list[dict[str, Any]]:
    """Every object nested in a JSON value."""
    found, pending = [], [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            found.append(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return found


def _check_plain(content: bytes, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise QuantuneError(f"{path} {_CODE} (example inputs); export it with plain tensors") from error
