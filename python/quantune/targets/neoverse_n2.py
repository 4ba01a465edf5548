"""Arm Neoverse N2 and other Armv8.6 or Armv9 processors with 8-bit matrix products."""

from quantune.targets.base import Target

# `usmmla` does 32 products an instruction whatever their width; 4 bits halve the weights.
TARGET = Target(
    name="neoverse-n2",
    triple="aarch64-unknown-linux-gnu",
    cpu="neoverse-n2",
    cpu_features="",
    architecture="aarch64",
    native_vector_bytes=16,
    weight_bits_menu=(8, 4),
    description="64-bit Arm with 8-bit matrix products, Neoverse N2",
    neon=True,
    dotprod=True,
    i8mm=True,
)
