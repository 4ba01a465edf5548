// Maximum pooling of f32 for NEON.
#define KERNEL quantune_fmaxpool_neon
#define ELEMENT float
#define BLOCK 16
#include "../maxpool.h"
