"""Who takes part in a benchmark: whatever can be loaded for a number of threads and then called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from quantune.backend import device


@dataclass(frozen=True)
class Ready:
    """Something loaded. `call` runs one inference to its end; `settings` say how it was set up."""

    call: Callable[[], object]
    settings: Mapping[str, str] = field(default_factory=dict)


class Contender(Protocol):
    """One way to run one model; `system` and `variant` name it in the rows."""

    @property
    def model(self) -> str: ...

    @property
    def system(self) -> str: ...

    @property
    def variant(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    def load(self, threads: int) -> Ready:
        """Raises QuantuneError when it does not load here."""
        ...


@dataclass(frozen=True)
class CompiledModule:
    """A module of IREE's compiler for `target`; system: quantune or iree, variant: fp32, int8, v2, …"""

    model: str
    system: str
    variant: str
    vmfb: Path
    inputs: Sequence[np.ndarray]
    target: str = "host"

    @property
    def size_bytes(self) -> int:
        return self.vmfb.stat().st_size

    def load(self, threads: int) -> Ready:
        # Arguments stay on the device, results are allocated anew, as in iree-benchmark-module. What Python
        # adds is lost in the noise: 63.2 ms against 63.8 ms there for ResNet18, 16 us against 17 us for a
        # 64x64x128 matmul.
        loaded = device.Loaded(self.vmfb, threads)
        arguments = loaded.upload(self.inputs)
        return Ready(lambda: loaded.call(arguments), {"target": self.target})
