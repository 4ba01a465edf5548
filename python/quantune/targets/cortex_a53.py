"""Arm Cortex-A53: in-order, 64-bit NEON pipes, no dot product (Raspberry Pi 3)."""

from quantune.targets.base import Target

# `smlal` into 16-bit lanes, `sadalp` to flush: by issue bound 6 bits is 1.3x and 4 bits 1.5x as fast as 8.
TARGET = Target(
    name="cortex-a53",
    triple="aarch64-unknown-linux-gnu",
    cpu="cortex-a53",
    cpu_features="",
    architecture="aarch64",
    native_vector_bytes=16,
    weight_bits_menu=(8,),
    description="64-bit Arm, Cortex-A53 (Raspberry Pi 3)",
    neon=True,
)
