"""IREE devices and loaded modules: the only file here that touches `iree.runtime`."""

from __future__ import annotations

import contextlib
import functools
import itertools
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np

from quantune.backend import signature
from quantune.errors import QuantuneError
from quantune.targets import cpu

# VM bytecode archives are zip files that iree-compile pads; the loader checks the rest.
MAGIC = b"PK"
HUGE_PAGE = 2 << 20
ALLOCATORS = ["caching:*=*;512mib"]
"""What a call needs for values in between is kept for the next, up to that much for all modules together. The
plain allocator clears it in every call: 27 MB for VGG16 in f32."""


@functools.cache
def instance() -> Any:
    """The one VM of this process."""
    return rt.VmInstance()


@functools.cache
def device(threads: int) -> Any:
    """The CPU as a device that computes on `threads` threads, shared by all modules that want as many.

    Each of several threads is bound to a core of its own: free ones meet on one core while another idles,
    because they wake each other up in every layer.
    """
    if threads < 1:
        raise QuantuneError(f"threads must be at least 1, not {threads}")
    if threads == 1:
        return rt.get_driver("local-sync").create_default_device(allocators=ALLOCATORS)
    # Workers are a process-wide flag, read when a driver is created: one driver for each count.
    workers = itertools.islice(itertools.cycle(cpu.processors()), threads)
    rt.flags.parse_flags(f"--task_topology_cpu_ids={','.join(map(str, workers))}")
    driver = rt._binding.create_hal_driver("local-task")
    return driver.create_default_device(allocators=ALLOCATORS)


def function(vmfb: Path, name: str) -> tuple[Any, Any, signature.Signature]:
    """Reads a module into memory and finds a function in it: (VM module, VM function, signature).

    Raises QuantuneError when the file is missing, damaged or lacks the function.
    """
    content = _read(vmfb)
    if content[: len(MAGIC)] != MAGIC:
        raise QuantuneError(_damaged(vmfb, "not a VM archive"))
    try:
        module = rt.VmModule.wrap_buffer(instance(), content)
        found = module.lookup_function(name)
    except (RuntimeError, ValueError) as error:
        raise QuantuneError(_damaged(vmfb, error)) from error
    if found is None:
        raise QuantuneError(f"{vmfb} has no function '{name}', only {', '.join(module.function_names)}")
    return module, found, signature.parse(found.reflection.get("iree.abi.declaration", ""))


def _read(vmfb: Path) -> memoryview:
    """The file in huge pages of its own.

    Weights are used where they lie. Mapped from the file they lie in small pages, which costs address
    translations, and the system takes back those that were not read for a while: each network of a comparison
    would then begin its turn with page faults.
    """
    try:
        with vmfb.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            memory = mmap.mmap(
                -1, -(-max(size, 1) // HUGE_PAGE) * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            )
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with contextlib.suppress(OSError):  # a kernel without them
                    memory.madvise(mmap.MADV_HUGEPAGE)
            content = memoryview(memory)[:size]
            stream.readinto(content)
    except OSError as error:
        raise QuantuneError(f"cannot read {vmfb}: {error.strerror or error}") from error
    return content


@dataclass(frozen=True)
class Values:
    """Arguments or results, in the memory of the device, which takes them back: they have to go first."""

    variants: Any
    device: Any


class Loaded:
    """A function of a module that is loaded on a device, ready to be called over and over."""

    def __init__(self, vmfb: Path, threads: int = 1, name: str = "main") -> None:
        self.label = str(vmfb)
        self._device = device(threads)
        self._calling = contextlib.nullcontext if threads == 1 else _waiting
        self._module, self._function, self.signature = function(vmfb, name)
        hal = rt.create_hal_module(instance(), self._device)
        try:
            self._context = rt.VmContext(instance(), [hal, self._module])
        except (RuntimeError, ValueError) as error:
            raise QuantuneError(
                f"{vmfb} does not load on this machine ({_first_line(error)}); compile it for --target host"
            ) from error

    def sibling(self, name: str) -> Loaded:
        """Another function of the module in the same context, whose weights are there once."""
        other = object.__new__(Loaded)
        other.label, other._device, other._module = self.label, self._device, self._module
        other._calling = self._calling
        other._context, other._function = self._context, self._module.lookup_function(name)
        declaration = other._function.reflection.get("iree.abi.declaration", "")
        other.signature = signature.parse(declaration)
        return other

    def upload(self, inputs: Sequence[np.ndarray]) -> Values:
        """Copies arrays to the device, as arguments that can be used for any number of calls."""
        checked = self.signature.check(inputs, self.label)
        arguments = rt.VmVariantList(len(checked))
        for array, wanted in zip(checked, self.signature.inputs, strict=True):
            view = self._device.allocator.allocate_buffer_copy(
                memory_type=rt.MemoryType.DEVICE_LOCAL,
                allowed_usage=rt.BufferUsage.DEFAULT,
                device=self._device,
                buffer=array,
                element_type=_element_type(wanted.dtype),
            )
            arguments.push_ref(view)
        return Values(arguments, self._device)

    def memory(self, arguments: Values, index: int) -> np.ndarray:
        """The bytes of an uploaded argument, in place."""
        wanted = self.signature.inputs[index]
        view = arguments.variants.get_as_object(index, rt.HalBufferView)
        return view.map().asarray(wanted.shape, wanted.dtype).reshape(-1).view(np.uint8)

    def call(self, arguments: Values) -> Values:
        """Runs the function to its end."""
        results = rt.VmVariantList(len(self.signature.outputs))
        with self._calling():
            self._context.invoke(self._function, arguments.variants, results)
        return Values(results, self._device)

    def download(self, results: Values) -> list[np.ndarray]:
        """Copies results to arrays of the module's own types (i8 becomes int8)."""
        arrays = []
        for index, wanted in enumerate(self.signature.outputs):
            view = results.variants.get_as_object(index, rt.HalBufferView)
            mapped = view.map().asarray(wanted.shape, wanted.dtype)
            arrays.append(np.array(mapped))
        return arrays


@contextlib.contextmanager
def _waiting() -> Iterator[None]:
    """Keeps the calling thread, which only waits for the workers, from taking a core from one of them.

    Woken by a worker, it spins until that worker has left the callback that woke it. On the worker's own
    core that lasts as long as the scheduler lets it: milliseconds.
    """
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _element_type(dtype: np.dtype) -> Any:
    return rt.array_interop.map_dtype_to_element_type(dtype)


def _first_line(error: Exception | str) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _damaged(vmfb: Path, error: Exception | str) -> str:
    return f"{vmfb} is not a module that this IREE can load ({_first_line(error)}); compile it again"
