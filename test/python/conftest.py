"""Fixtures that several files share: zoo models, imported once a session."""

from __future__ import annotations

import functools
import signal
from collections.abc import Iterator

import pytest

from compiled import GetNetwork, Network, images, ranges
from quantune.ingress.load import load_model


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell starts background jobs with SIGINT ignored, and so would every process the tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measured costs of this run stay in it, and those of the user do not decide what tests see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTUNE_CACHE", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(scope="session")
def network() -> GetNetwork:
    """Zoo name → the model, imported on first use, and the ranges of its values."""

    @functools.cache
    def find(name: str) -> Network:
        model = load_model(f"zoo:{name}")
        noise = images(model.input_shape)
        return Network(model, ranges(model.graph, [noise[0], noise[1] / 8]))

    return find
