// Maximum pooling of f32 for AVX-512.
#define KERNEL quantune_fmaxpool_avx512
#define ELEMENT float
#define BLOCK 64
#include "../maxpool.h"
