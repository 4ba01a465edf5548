// Quantized convolution in plain C: the reference that every other instruction set must equal, and the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define TILE_ROWS 4
#include "../common.h"
#include "../qconv_params.h"

OUTLINE void multiply_tile(const u8 *const *operands, const s8 *weights, const u8 *schedule, i64 runs, i64 run_bytes, i64 run_stride,
                           i64 count, i32 *sums) {
  (void)schedule;  // 32-bit sums need no flush
  for (i64 i = 0; i < count; i++) {
    i32 total[16] = {0};
    const s8 *w = weights;
    for (i64 run = 0; run < runs; run++) {
      const u8 *a = operands[i] + run * run_stride;
      for (i64 k = 0; k < run_bytes; k += 4, w += 64)
        for (int j = 0; j < 16; j++)
          total[j] += a[k] * w[4 * j] + a[k + 1] * w[4 * j + 1] + a[k + 2] * w[4 * j + 2] + a[k + 3] * w[4 * j + 3];
    }
    for (int j = 0; j < 16; j++) sums[i * 16 + j] = total[j];
  }
}

#include "../store_tile.h"
#include "../qconv_driver.h"
