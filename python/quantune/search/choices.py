"""What nested validation chose, kept: it takes minutes, and follows from the trials and the code alone."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantune.errors import QuantuneError
from quantune.files import cache_folder, read_json, write_json
from quantune.progress import Progress
from quantune.search.features import Scales
from quantune.search.nested import MENU
from quantune.search.replay import INNER_SEEDS, choose_options
from quantune.search.space import Space
from quantune.search.surrogate import Options
from quantune.search.trials import Measured

SOURCES = ("features.py", "nested.py", "surrogate.py")


def choices_of(space: Space, measured: Mapping[str, Measured], progress: Progress) -> dict[str, Options]:
    """Every network's options, from the user's cache if they are there."""
    path = cache_folder("search") / f"choices-{_key(space, measured)}.json"
    try:
        raw = read_json(path)
        return {model: options_from_json(raw[model]) for model in measured}
    except (QuantuneError, KeyError, TypeError):
        found = choose_options(space, measured, progress)
        write_json(path, {model: asdict(options) for model, options in found.items()})
        return found


def options_from_json(raw: dict[str, Any]) -> Options:
    return Options(**raw | {"groups": tuple(raw["groups"]), "scales": Scales(**raw["scales"])})


def _key(space: Space, measured: Mapping[str, Measured]) -> str:
    digest = hashlib.sha256(
        repr((space, MENU, INNER_SEEDS, importlib.metadata.version("xgboost-cpu"))).encode()
    )
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for m in measured.values():
        digest.update(repr((m.model, sorted(m.traits.items()), m.settings, m.scores.tolist())).encode())
    return digest.hexdigest()[:16]
