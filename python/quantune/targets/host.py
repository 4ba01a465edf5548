"""The machine that the compiler runs on."""

from __future__ import annotations

from quantune.errors import UnsupportedError
from quantune.targets import cpu
from quantune.targets.base import Target


def detect(machine: cpu.Cpu) -> Target:
    """The target for `machine`; LLVM itself resolves the CPU name `host` to every feature that it finds.

    Raises UnsupportedError on anything but x86-64 and 64-bit Arm.
    """
    has = machine.features.__contains__
    if machine.architecture == "x86_64":
        avx512 = has("avx512f") and has("avx512bw") and has("avx512vl")
        vnni = avx512 and has("avx512_vnni")
        amx = vnni and has("avx512vbmi") and has("amx_tile") and has("amx_int8")
        return Target(
            name="host",
            triple="",
            cpu="host",
            cpu_features="",
            architecture="x86_64",
            native_vector_bytes=64 if has("avx512f") else 32 if has("avx2") else 16,
            # `vpdpbusd` makes plain int8 as fast as it gets. Without it,
            # products of narrower weights are summed in 16-bit lanes for longer before they must be widened.
            # AMX waits for the weights of fully connected layers, which it stores in the bits they have.
            weight_bits_menu=(8, 7, 6, 5, 4) if amx or (has("avx2") and not vnni) else (8,),
            description=f"this machine: {machine.name}",
            avx2=has("avx2") and has("fma"),
            avx512=avx512,
            avx512_vnni=vnni,
            amx=amx,
        )
    if machine.architecture == "aarch64":
        return Target(
            name="host",
            triple="",
            cpu="host",
            cpu_features="",
            architecture="aarch64",
            native_vector_bytes=16,
            weight_bits_menu=(8, 4) if has("asimddp") else (8, 7, 6, 4),
            description=f"this machine: {machine.name}",
            neon=has("asimd"),
            dotprod=has("asimddp"),
            i8mm=has("i8mm"),
        )
    raise UnsupportedError(
        f"no target for a {machine.architecture} host; name one with --target to compile for it"
    )
