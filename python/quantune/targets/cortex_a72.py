"""Arm Cortex-A72: out of order, no dot product (Raspberry Pi 4)."""

from quantune.targets.base import Target

# Widening runs on a pipe of its own here, so fewer bits compute 4 % faster at most; 4 bits halve the weights.
TARGET = Target(
    name="cortex-a72",
    triple="aarch64-unknown-linux-gnu",
    cpu="cortex-a72",
    cpu_features="",
    architecture="aarch64",
    native_vector_bytes=16,
    weight_bits_menu=(8, 4),
    description="64-bit Arm, Cortex-A72 (Raspberry Pi 4)",
    neon=True,
)
