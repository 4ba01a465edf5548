// f32 convolution in plain C: the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define TILE_ROWS 4
#define TILE_COLUMNS 8
#include "../common.h"
#include "../fconv_tile.h"

INLINE void finish_row(const Tile *t, i64 row, const float *sums) {
  const float *residual = t->residual ? (const float *)(t->residual[row] + t->channel) : 0;
  for (i64 j = 0; j < t->columns; j++) {
    float v = residual ? sums[j] + residual[j] : sums[j];
    v = v < t->low ? t->low : v;
    ((float *)(t->out[row] + t->channel))[j] = v > t->high ? t->high : v;
  }
}

OUTLINE void multiply_tile(const Tile *t, i64 count) {
  for (i64 i = 0; i < count; i++) {
    float sums[TILE_COLUMNS];
    for (int j = 0; j < TILE_COLUMNS; j++) sums[j] = t->bias[j];
    const float *w = t->weights;
    for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
      const float *a = (const float *)(t->operands[i] + t->operand + segment[0]);
      for (i64 k = 0; k < segment[1] / 4; k++, w += TILE_COLUMNS)
        for (int j = 0; j < TILE_COLUMNS; j++) sums[j] += a[k] * w[j];
    }
    finish_row(t, i, sums);
  }
}

#include "../fconv_driver.h"
