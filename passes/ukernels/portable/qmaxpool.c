// Maximum pooling for plain C.
#define SYMBOL(name) quantune_##name##_portable
#define BLOCK 16
#include "../qmaxpool.h"
