// Elementwise arithmetic for NEON.
#define SYMBOL(name) quantune_##name##_neon
#include "../qmap.h"
