"""What the compiler is made of: its own code and microkernels, for keys of what is kept from run to run."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import quantune


@functools.cache
def sources() -> dict[str, Path]:
    """All Python files and microkernels' bitcode, by their place in the package: "backend/pipeline.py"."""
    root = Path(quantune.__file__).parent
    found = {}
    for folder in (root, root / "passes"):  # in a checkout passes is a symlink, which rglob does not follow
        for path in (*folder.resolve().rglob("*.py"), *folder.resolve().rglob("*.bc")):
            place = folder.relative_to(root) / path.relative_to(folder.resolve())
            found[place.as_posix()] = path
    return dict(sorted(found.items()))


def inside(*rooms: str) -> list[str]:
    """The places of all `sources` in these folders of the package."""
    return [place for place in sources() if place.startswith(tuple(f"{room}/" for room in rooms))]


def digest(places: Iterable[str]) -> str:
    """Of the contents of those `sources`."""
    total = hashlib.sha256()
    for place in places:
        total.update(place.encode() + b"\0" + sources()[place].read_bytes())
    return total.hexdigest()
