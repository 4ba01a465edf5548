// f32 depthwise convolution for AVX-512.
#define SYMBOL(name) quantune_##name##_avx512
#define LANES 16
#define PIXELS 7
#include "../fdepthwise_driver.h"
