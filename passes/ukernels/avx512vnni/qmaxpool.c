// Maximum pooling of u8 for AVX-512.
#define KERNEL quantune_qmaxpool_avx512vnni
#define ELEMENT u8
#define BLOCK 64
#include "../maxpool.h"
