// f32 convolution in plain C: the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define TILE_ROWS 4
#define TILE_COLUMNS 8
#include "../common.h"
#include "../fconv_finish.h"

OUTLINE void multiply_tile(const Tile *t, i64 count) {
  float sums[TILE_ROWS][TILE_COLUMNS];
  for (i64 i = 0; i < count; i++) {
    for (int j = 0; j < TILE_COLUMNS; j++) sums[i][j] = t->bias[j];
    const float *w = t->weights;
    for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
      const float *a = (const float *)(t->operands[i] + t->operand + segment[0]);
      for (i64 k = 0; k < segment[1] / 4; k++, w += TILE_COLUMNS)
        for (int j = 0; j < TILE_COLUMNS; j++) sums[i][j] += a[k] * w[j];
    }
  }
  finish(t, count, sums[0]);
}

#include "../fconv_driver.h"
