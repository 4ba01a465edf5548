// Moving channels, for NEON.
#define SYMBOL(name) quantune_##name##_neon
#include "../move.h"
