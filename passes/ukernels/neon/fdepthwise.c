// f32 depthwise convolution for NEON.
#define SYMBOL(name) quantune_##name##_neon
#define LANES 4
#define PIXELS 7
#include "../fdepthwise_driver.h"
