<<<<<<< HEAD
// Maximum pooling for NEON.
=======
// Maximum pooling for 64-bit Arm.
>>>>>>> 78b028e (64-bit Arm: elementwise arithmetic and maximum pooling)
#define SYMBOL(name) quantune_##name##_neon
#define BLOCK 16
#include "../qmaxpool.h"
