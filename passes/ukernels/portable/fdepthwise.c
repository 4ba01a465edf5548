// f32 depthwise convolution in plain C: vectors of four become what the processor has.
#define SYMBOL(name) quantune_##name##_portable
#define LANES 4
#define PIXELS 4
#include "../fdepthwise_driver.h"
