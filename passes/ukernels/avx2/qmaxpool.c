// Maximum pooling of u8 for AVX2.
#define KERNEL quantune_qmaxpool_avx2
#define ELEMENT u8
#define BLOCK 32
#include "../maxpool.h"
