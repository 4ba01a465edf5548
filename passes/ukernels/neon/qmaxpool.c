// Maximum pooling of u8 for NEON.
#define KERNEL quantune_qmaxpool_neon
#define ELEMENT u8
#define BLOCK 16
#include "../maxpool.h"
