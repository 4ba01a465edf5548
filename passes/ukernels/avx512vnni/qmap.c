// Elementwise arithmetic for AVX-512.
#define SYMBOL(name) quantune_##name##_avx512vnni
#include "../qmap.h"
