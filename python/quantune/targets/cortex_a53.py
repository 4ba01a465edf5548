"""Arm Cortex-A53: in-order, 64-bit NEON pipes, no dot product (Raspberry Pi 3)."""

from quantune.targets.base import Target

# `smlal` into 16-bit lanes, `sadalp` to flush, and both take the one pipe there is. By issue bound, on the
# weights of a trained network, 7 bits are 1.13x, 6 bits 1.18x, 4 bits 1.21x as fast as 8 (docs/kernels.md);
# 4 bits also halve the weights, which 5 bits do not.
TARGET = Target(
    name="cortex-a53",
    triple="aarch64-unknown-linux-gnu",
    cpu="cortex-a53",
    cpu_features="",
    architecture="aarch64",
    native_vector_bytes=16,
    weight_bits_menu=(8, 7, 6, 4),
    description="64-bit Arm, Cortex-A53 (Raspberry Pi 3)",
    neon=True,
)
