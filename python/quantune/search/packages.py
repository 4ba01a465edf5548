"""The packages that searches need, which the rest of Quantune does not."""

from __future__ import annotations

import importlib.util

from quantune.errors import QuantuneError

NEEDED = {"optuna": "optuna", "xgboost": "xgboost-cpu"}
"""Module → the distribution that brings it (for xgboost, that without CUDA)."""
DISTRIBUTIONS = tuple(NEEDED.values())


def check_installed() -> None:
    """Raises QuantuneError naming the first package that is missing."""
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise QuantuneError(
                f"tuning needs {package}, which is not installed: pip install 'quantune[search]' "
                "(in a checkout: pip install '.[search]')"
            )
