"""Files that installed packages carry, found without importing the packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from quantune.errors import QuantuneError


def find_package_folder(module: str) -> Path | None:
    """The folder of a top-level module, or None when it is not installed."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def package_folder(module: str, distribution: str) -> Path:
    """Like `find_package_folder`; raises QuantuneError saying how to install the package."""
    folder = find_package_folder(module)
    if folder is None:
        raise QuantuneError(f"the package {distribution} is not installed; run: pip install {distribution}")
    return folder
