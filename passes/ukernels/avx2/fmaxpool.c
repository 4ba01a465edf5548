// Maximum pooling of f32 for AVX2.
#define KERNEL quantune_fmaxpool_avx2
#define ELEMENT float
#define BLOCK 32
#include "../maxpool.h"
