// Quantized depthwise convolution in plain C: the reference, and the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#include "../common.h"

// The weights' order of channels is that of the x86 kernels, see qdepthwise_x86.h.
INLINE void multiply_pixel(const u8 *pixel, const i32 *taps, const int16_t *weights, i64 pairs, i32 *sums) {
  for (int j = 0; j < 16; j++) sums[j] = 0;
  for (i64 pair = 0; pair < pairs; pair++, weights += 32) {
    const u8 *a = pixel + taps[2 * pair], *b = pixel + taps[2 * pair + 1];
    for (int j = 0; j < 16; j++) {
      const int place = (j & 4 ? 16 : 0) + (j & 8 ? 8 : 0) + 2 * (j & 3);
      sums[j] += a[j] * weights[place] + b[j] * weights[place + 1];
    }
  }
}

#include "../store_tile.h"
#include "../qdepthwise_driver.h"
