// Maximum pooling of u8 for plain C.
#define KERNEL quantune_qmaxpool_portable
#define ELEMENT u8
#define BLOCK 16
#include "../maxpool.h"
