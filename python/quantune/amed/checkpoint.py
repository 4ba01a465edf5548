"""A search on disk: whole after every step, so that a killed one goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from quantune.amed.data import Pictures
from quantune.amed.descent import Best
from quantune.amed.settings import TrainingSettings
from quantune.files import replacing
from quantune.plan.schema import Plan

if TYPE_CHECKING:
    from quantune.amed.search import Search

SCHEMA = "quantune.amed/2"


def key_of(
    plan: Plan, training: Pictures, validation: Pictures, settings: TrainingSettings, *others: object
) -> str:
    """Two runs of equal key come to the same result."""
    parts = (
        SCHEMA,
        plan.fingerprint,
        plan.to_json(),
        dataclasses.asdict(settings),
        torch.__version__,
        others,
    )
    text = repr((*parts, training.fingerprint, validation.fingerprint))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def save(search: Search, path: Path, key: str) -> None:
    """Replaces the checkpoint."""
    quality = [(list(state), reward) for state, reward in search.quality.rewards.items()]
    content = {
        "key": key,
        "network": search.network.state_dict(),
        "trained": sorted(search.network.trained),
        "optimizer": search.optimizer.state_dict(),
        "state": list(search.state),
        "taken": search.taken,
        "worth": search.credit.worth.tolist(),
        "asked": search.credit.asked.tolist(),
        "quality": quality,
        "best": None if search.best is None else {**vars(search.best), "state": list(search.best.state)},
        "trajectory": search.trajectory,
    }
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load(search: Search, path: Path, key: str) -> bool:
    """Whether there was a checkpoint of `key`; a damaged one, or one of another run, is left aside."""
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # missing, cut off or of another version: torch raises a dozen types
        return False
    if not isinstance(found, dict) or found.get("key") != key:
        return False
    search.network.load_state_dict(found["network"])
    search.network.trained = set(found["trained"])
    search.optimizer.load_state_dict(found["optimizer"])
    search.state, search.taken = tuple(found["state"]), found["taken"]
    search.credit.worth = np.array(found["worth"])
    search.credit.asked = np.array(found["asked"], dtype=np.int64)
    search.quality.rewards = {tuple(state): reward for state, reward in found["quality"]}
    if (best := found["best"]) is not None:
        search.best = Best(best["reward"], tuple(best["state"]), best["weights"])
    search.trajectory = found["trajectory"]
    return True
