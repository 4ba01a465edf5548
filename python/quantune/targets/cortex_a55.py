"""Arm Cortex-A55 and other Armv8.2 processors with the dot-product instructions."""

from quantune.targets.base import Target

# `sdot` does sixteen products an instruction whatever their width; 4 bits halve the weights.
TARGET = Target(
    name="cortex-a55",
    triple="aarch64-unknown-linux-gnu",
    cpu="cortex-a55",
    cpu_features="",
    architecture="aarch64",
    native_vector_bytes=16,
    weight_bits_menu=(8, 4),
    description="64-bit Arm with dot product, Cortex-A55",
    neon=True,
    dotprod=True,
)
