"""Any x86-64 processor since Haswell and Zen: AVX2 and FMA, no dot-product instruction."""

from quantune.targets.base import Target

# Without `vpdpbusd`, int8 pays for widening to 32 bits. 7 and 6 bits let `vpmaddubsw` sums stay in 16-bit
# lanes over several steps, which is where the speed is. 5 and 4 bits gain little beyond that; 4 bits halve
# the weights. What each layer gains is measured or modelled (docs/costs.md).
TARGET = Target(
    name="x86-64-avx2",
    triple="x86_64-unknown-linux-gnu",
    cpu="haswell",
    cpu_features="",
    architecture="x86_64",
    native_vector_bytes=32,
    weight_bits_menu=(8, 7, 6, 5, 4),
    description="x86-64 with AVX2 and FMA (Haswell, Zen and later)",
    avx2=True,
)
