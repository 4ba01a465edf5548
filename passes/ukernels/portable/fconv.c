// f32 convolution in plain C: the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define TILE_ROWS 4
#define TILE_COLUMNS 8
#define ELEMENT float
#define BLOCK 16
#include "../common.h"
#include "../fconv_finish.h"

OUTLINE void multiply_tile(const Tile *t, i64 count) {
  float buffer[TILE_ROWS * TILE_COLUMNS];
  float *sums = t->sums ? t->sums : buffer;
  for (i64 i = 0; i < count; i++) {
    float *row = sums + i * TILE_COLUMNS;
    for (int j = 0; j < TILE_COLUMNS; j++) row[j] = t->start[i * t->start_step + j];
    const float *w = t->weights;
    for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
      const float *a = (const float *)(t->operands[i] + t->operand + segment[0]);
      for (i64 k = 0; k < segment[1] / 4; k++, w += TILE_COLUMNS)
        for (int j = 0; j < TILE_COLUMNS; j++) row[j] += a[k] * w[j];
    }
  }
  if (!t->sums) finish(t, count, sums);
}

#include "../fconv_driver.h"
