// Quantized convolution in plain C: the reference that every other instruction set must equal, and the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define TILE_ROWS 4
#include "../common.h"
#include "../qconv_params.h"

OUTLINE void multiply_tile(const u8 *const *operands, const s8 *weights, const u8 *schedule, const i32 *segments, const i32 *end,
                           i64 count, i32 *sums) {
  (void)schedule;  // 32-bit sums need no flush
  for (i64 i = 0; i < count; i++) {
    i32 total[16] = {0};
    const s8 *w = weights;
    for (const i32 *segment = segments; segment != end; segment += 2) {
      const u8 *a = operands[i] + segment[0];
      for (i64 k = 0; k < segment[1]; k += 4, w += 64)
        for (int j = 0; j < 16; j++)
          total[j] += a[k] * w[4 * j] + a[k + 1] * w[4 * j + 1] + a[k + 2] * w[4 * j + 2] + a[k + 3] * w[4 * j + 3];
    }
    for (int j = 0; j < 16; j++) sums[i * 16 + j] = total[j];
  }
}

#include "../store_tile.h"
#include "../qconv_driver.h"
