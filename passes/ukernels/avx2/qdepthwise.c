// Quantized depthwise convolution for AVX2: two taps at a time, widened to 16 bits and multiplied by `vpmaddwd`, exactly.
#define SYMBOL(name) quantune_##name##_avx2
#include "../qdepthwise_x86.h"
