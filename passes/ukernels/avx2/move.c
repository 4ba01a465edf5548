// Moving channels, for AVX2.
#define SYMBOL(name) quantune_##name##_avx2
#include "../move.h"
