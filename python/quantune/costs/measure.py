"""Timing the functions of a module side by side, each as it finds the caches in a network."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantune.backend import pipeline
from quantune.backend.compiler import compile_module, kernel_target
from quantune.backend.device import Loaded
from quantune.costs.functions import Function
from quantune.costs.module import Work, write
from quantune.costs.store import Cost
from quantune.targets import Target

ROUNDS = 30
FEWEST_ROUNDS = 5
LONGEST_SECONDS = 4.0  # of timing one module
LEAST_MICROSECONDS = 0.05  # nothing takes less; what the clock cannot resolve must not become free
LINE = 64  # bytes that a cache moves at once
MOST_CACHE = 1 << 28
"""Bytes that leave nothing else in any cache when they are read."""


def measure(works: Sequence[Work], target: Target, kernels: bool = True) -> dict[Work, Cost]:
    """The time of every work on one thread of this machine, compiled as models for `target` are.

    Functions take turns, so that disturbances hit all alike, and the least time counts. A function's weights
    were evicted by the others (a cold shape's from all caches), its activations were just touched: as in
    a network. What calling a function costs by itself is taken off. Raises QuantuneError when the module does
    not compile or run.
    """
    written = write(works, kernel_target(target) if kernels else pipeline.NO_KERNELS)
    # Equal functions run the same instructions on other weights: one of them is timed for all.
    distinct = {function.name: function for function in written.functions}
    cold = {f.name for work, f in zip(works, written.functions, strict=True) if work.shape.cold}
    ballast = np.ones(MOST_CACHE if cold else 0, np.uint8)[::LINE]
    with tempfile.TemporaryDirectory(prefix="quantune-costs-") as folder:
        vmfb = compile_module(written.source, Path(folder) / "costs.vmfb", target).path
        nothing = Loaded(vmfb, name="nothing")
        calls = [
            _call(nothing.sibling(name), function, [ballast] if name in cold else [])
            for name, function in distinct.items()
        ]
        idle, *seconds = _least([_call(nothing, None, []), *calls])
    times = dict(zip(distinct, seconds, strict=True))
    return {
        work: Cost(max(LEAST_MICROSECONDS, (times[function.name] - idle) * 1e6), function.constant_bytes)
        for work, function in zip(works, written.functions, strict=True)
    }


def _call(loaded: Loaded, function: Function | None, before: list[NDArray[Any]]) -> Callable[[], float]:
    """A call that times itself, after touching what came `before` and its activations."""
    blobs = function.blobs if function is not None else ()
    random = np.random.default_rng(0)
    count = len(loaded.signature.inputs) - len(blobs)
    inputs = [_activation(tensor.shape, tensor.dtype, random) for tensor in loaded.signature.inputs[:count]]
    arguments = loaded.upload([*inputs, *blobs])
    lines = [*before, *(loaded.memory(arguments, index)[::LINE] for index in range(count))]

    def call() -> float:
        for line in lines:
            line.max()
        started = time.thread_time()  # of the processor: what other programs take does not count
        loaded.call(arguments)
        return time.thread_time() - started

    return call


def _activation(shape: Sequence[int], dtype: Any, random: np.random.Generator) -> NDArray[Any]:
    """Any stored values; in f32 what a ReLU leaves, since denormals would be slow."""
    if np.dtype(dtype).kind == "f":
        return np.maximum(random.standard_normal(shape, dtype=np.float32), 0)
    return random.integers(-128, 128, shape, np.int8)


def _least(calls: Sequence[Callable[[], float]]) -> list[float]:
    """The least seconds of each call over the rounds; each in another order, since the caches remember."""
    least = [call() for call in calls]
    order, began = np.arange(len(calls)), time.thread_time()
    for done in range(ROUNDS):
        if done >= FEWEST_ROUNDS and time.thread_time() - began > LONGEST_SECONDS:
            break
        for index in np.random.default_rng(done).permutation(order):
            least[index] = min(least[index], calls[index]())
    return least
