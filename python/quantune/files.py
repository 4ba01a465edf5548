"""Files that are either whole or absent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantune.errors import QuantuneError

_UMASK = os.umask(0)
os.umask(_UMASK)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it into place on success, deletes it otherwise.

    Raises QuantuneError when the disk is full or the folder cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_UMASK)  # mkstemp makes files that nobody else may read
        os.replace(temporary, path)
    except OSError as error:
        raise QuantuneError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes `content` to `path`, or leaves what was there."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with stable key order as given."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def cache_folder(room: str) -> Path:
    """`$QUANTUNE_CACHE`/room, else quantune/room in the user's cache folder."""
    given = os.environ.get("QUANTUNE_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(given) if given else Path(user) / "quantune") / room


def read_json(path: Path) -> Any:
    """Reads JSON; raises QuantuneError naming the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise QuantuneError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise QuantuneError(
            f"{path} is not valid JSON ({error}); delete it and rerun, or restore it"
        ) from error


def link(source: Path, destination: Path) -> None:
    """A hard link where the file system has them, else a copy; never a half-written file."""
    temporary = destination.with_name(f".{destination.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(destination)
