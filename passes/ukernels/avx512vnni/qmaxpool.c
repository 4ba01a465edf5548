// Maximum pooling for AVX-512.
#define SYMBOL(name) quantune_##name##_avx512vnni
#define BLOCK 64
#include "../qmaxpool.h"
