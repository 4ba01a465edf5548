// What follows the sums of an f32 tile, in plain C.
#ifndef QUANTUNE_FCONV_FINISH_H_
#define QUANTUNE_FCONV_FINISH_H_

#include "fconv_tile.h"

// sums: [count][TILE_COLUMNS]
OUTLINE void finish(const Tile *t, i64 count, const float *sums) {
  for (i64 i = 0; i < count; i++, sums += TILE_COLUMNS) {
    const float *residual = t->residual ? (const float *)(t->residual[i] + t->channel) : 0;
    float *out = (float *)(t->out[i] + t->channel);
    for (i64 j = 0; j < t->columns; j++) {
      float v = residual ? sums[j] + residual[j] : sums[j];
      v = v < t->low ? t->low : v;
      out[j] = v > t->high ? t->high : v;
    }
  }
}

#endif
