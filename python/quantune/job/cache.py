"""Which files are still what they would be if made again."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

from quantune.errors import QuantuneError
from quantune.files import read_json, write_json
from quantune.sources import digest, sources

PACKAGES = ("iree-base-compiler", "iree-base-runtime", "torch-mlir", "torch", "numpy")
NO_PART_OF_A_RESULT = ("cli", "report", "peers")


class Cache:
    """Remembers, for every file of a job's folder, the key of what it was made from (`cache/keys.json`).

    A damaged key file only costs work: everything is made anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "cache" / "keys.json"
        try:
            self._keys: dict[str, str] = dict(read_json(self._path)) if self._path.exists() else {}
        except (QuantuneError, TypeError, ValueError):
            self._keys = {}

    def fresh(self, path: Path, key: str) -> bool:
        """Whether `path` exists and was made from `key`."""
        return path.exists() and self._keys.get(self._name(path)) == key

    def record(self, path: Path, key: str) -> None:
        """To be called once `path` is whole."""
        self._keys[self._name(path)] = key
        write_json(self._path, self._keys)

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def key_of(*parts: object) -> str:
    """A hash of everything a result depends on, the version of the tools and of our own sources included."""
    return hashlib.sha256(repr((_tools(), *parts)).encode()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """Raises QuantuneError when the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise QuantuneError(f"cannot read {path}: {error.strerror}") from None


@functools.cache
def _tools() -> tuple[str, ...]:
    """What the compiler is made of: our sources, the microkernels' bitcode, the packages."""
    code = digest(place for place in sources() if place.split("/")[0] not in NO_PART_OF_A_RESULT)
    return (code, *(importlib.metadata.version(name) for name in PACKAGES))
