<<<<<<< HEAD
// Elementwise arithmetic for NEON.
=======
// Elementwise arithmetic for 64-bit Arm.
>>>>>>> 78b028e (64-bit Arm: elementwise arithmetic and maximum pooling)
#define SYMBOL(name) quantune_##name##_neon
#include "../qmap.h"
