// Maximum pooling for NEON.
#define SYMBOL(name) quantune_##name##_neon
#define BLOCK 16
#include "../qmaxpool.h"
