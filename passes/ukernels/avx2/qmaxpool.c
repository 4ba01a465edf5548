// Maximum pooling for AVX2.
#define SYMBOL(name) quantune_##name##_avx2
#define BLOCK 32
#include "../qmaxpool.h"
