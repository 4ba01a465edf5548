"""The imported model of a job's folder, taken from there while what it was imported from is unchanged."""

from __future__ import annotations

import dataclasses
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from quantune.data.preprocessing import Preprocessing
from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.graph.extract import extract
from quantune.ingress.load import load_model
from quantune.ingress.model import Model
from quantune.ir.session import Workspace
from quantune.job.cache import file_digest, key_of
from quantune.progress import Progress, stage
from quantune.zoo.weights import checkpoint

Shape = tuple[int, int, int]
# A factory that may read files which nobody declared is run anew each time: its model could have changed.
_READS_FILES = re.compile(rb"\b(load\w*|read\w*|open|environ|getenv|argv|hub|urlopen|subprocess)\b")


def import_model(
    spec: str, weights: Path | None, input_shape: Shape | None, folder: Path, progress: Progress
) -> Model:
    """The model, from `folder` (`model.json` and two modules) if that is up to date, else imported into it.

    Both modules change together or not at all. Raises QuantuneError like `load_model`.
    """
    key = _key(spec, weights, input_shape)
    record = _record(folder)
    if record is not None and record["key"] == key and _unchanged(record["files"]):
        return reopen_model(folder)
    with stage(progress, f"importing {spec}"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
            model = load_model(spec, weights, input_shape, Path(scratch))
            (folder / "model.json").unlink(missing_ok=True)
            original, reference = (
                path.replace(folder / path.name) for path in (model.original_path, model.reference_path)
            )
    model = dataclasses.replace(model, original_path=original, reference_path=reference)
    write_json(folder / "model.json", {"key": key, "files": _sources(spec), **_facts(model)})
    return model


def reopen_model(folder: Path) -> Model:
    """The model that was imported into `folder`; raises QuantuneError when it is not there any more."""
    record = _record(folder)
    if record is None:
        raise QuantuneError(f"{folder} holds no imported model; make it anew with `quantune compile`")
    original, reference = (folder / f"{record['name']}.{kind}.mlirbc" for kind in ("original", "reference"))
    with Workspace() as workspace:
        graph = extract(workspace.load(reference))
    return Model(
        name=record["name"],
        spec=record["spec"],
        original_path=original,
        reference_path=reference,
        graph=graph,
        input_shape=tuple(record["input_shape"]),
        preprocessing=_preprocessing(record["preprocessing"]),
        classes=record["classes"],
        trained=record["trained"],
        reports=record["reports"],
    )


def _facts(model: Model) -> dict[str, Any]:
    """What of a model is neither in the module nor derived from it."""
    facts = {
        key: getattr(model, key) for key in ("name", "spec", "input_shape", "classes", "trained", "reports")
    }
    found = model.preprocessing
    return facts | {"preprocessing": None if found is None else dataclasses.asdict(found)}


def _preprocessing(raw: dict[str, Any] | None) -> Preprocessing | None:
    if raw is None:
        return None
    lists = {key: tuple(raw[key]) for key in ("size", "mean", "std")}
    return Preprocessing(**(raw | lists))


def _record(folder: Path) -> dict[str, Any] | None:
    """What `import_model` wrote, or None when anything of it is missing or damaged."""
    try:
        record = read_json(folder / "model.json")
        modules = [folder / f"{record['name']}.{kind}.mlirbc" for kind in ("original", "reference")]
        known = {
            "key",
            "files",
            "spec",
            "input_shape",
            "preprocessing",
            "classes",
            "trained",
            "reports",
        } <= set(record)
    except (QuantuneError, TypeError, KeyError):
        return None
    return record if known and all(path.is_file() for path in modules) else None


def _key(spec: str, weights: Path | None, input_shape: Shape | None) -> str:
    """Everything known beforehand that the model depends on: the files it names, by content."""
    files = [Path(spec.rpartition(":")[0] if re.search(r"\.py:\w+$", spec) else spec)]
    files += [weights] if weights is not None else []
    if spec.startswith("zoo:"):
        files += [found] if (found := checkpoint(spec.removeprefix("zoo:"))) is not None else []
    # A file that is missing has no digest: loading will say so.
    digests = [(str(path.resolve()), file_digest(path)) for path in files if path.is_file()]
    return key_of("model", spec, str(weights), input_shape, digests)


def _sources(spec: str) -> dict[str, str] | None:
    """Path → digest of the user's Python files that made the model; None when they may have read others."""
    if not re.search(r"\.py:\w+$", spec):
        return {}
    folder = Path(spec.rpartition(":")[0]).resolve().parent
    found = {}
    for name, module in list(sys.modules.items()):
        path = Path(getattr(module, "__file__", None) or "")
        if path.suffix != ".py" or name.split(".")[0] == "quantune" or "site-packages" in path.parts:
            continue
        if path.resolve().is_relative_to(folder) and path.is_file():
            if _READS_FILES.search(path.read_bytes()):
                return None
            found[str(path.resolve())] = file_digest(path)
    return found


def _unchanged(files: dict[str, str] | None) -> bool:
    return files is not None and all(
        Path(f).is_file() and file_digest(Path(f)) == d for f, d in files.items()
    )
