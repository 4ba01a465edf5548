// f32 depthwise convolution for AVX2.
#define SYMBOL(name) quantune_##name##_avx2
#define LANES 8
#define PIXELS 7
#include "../fdepthwise_driver.h"
