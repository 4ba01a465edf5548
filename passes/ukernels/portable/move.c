// Moving channels, for every other target.
#define SYMBOL(name) quantune_##name##_portable
#include "../move.h"
