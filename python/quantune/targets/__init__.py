"""The processors that Quantune compiles for: one file a target."""

from __future__ import annotations

import functools

from quantune.errors import QuantuneError
from quantune.targets import cortex_a53, cortex_a55, cortex_a72, cpu, host, neoverse_n2, x86_64_avx2
from quantune.targets.base import Target

__all__ = ["Target", "get", "names"]

_FIXED = {
    module.TARGET.name: module.TARGET
    for module in (x86_64_avx2, cortex_a53, cortex_a72, cortex_a55, neoverse_n2)
}


def names() -> list[str]:
    """All names that `get` knows, `host` first."""
    return ["host", *_FIXED]


@functools.cache
def _host() -> Target:
    return host.detect(cpu.here())


def get(name: str) -> Target:
    """The target called `name`; raises QuantuneError listing the known ones."""
    if name == "host":
        return _host()
    if name not in _FIXED:
        raise QuantuneError(f"unknown target '{name}'; choose one of {', '.join(names())}")
    return _FIXED[name]
