// Quantized depthwise convolution for AVX-512 with VNNI: as for AVX2, with `vpdpwssd` adding as it multiplies.
#define SYMBOL(name) quantune_##name##_avx512vnni
#include "../qdepthwise_x86.h"
