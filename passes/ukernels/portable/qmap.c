// Elementwise arithmetic for plain C.
#define SYMBOL(name) quantune_##name##_portable
#include "../qmap.h"
