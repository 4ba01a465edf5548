// Maximum pooling of f32 for plain C.
#define KERNEL quantune_fmaxpool_portable
#define ELEMENT float
#define BLOCK 16
#include "../maxpool.h"
