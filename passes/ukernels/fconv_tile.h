// What a tile of an f32 convolution is given: some rows of operands, one panel of weights or two, and where the results go.
#ifndef QUANTUNE_FCONV_TILE_H_
#define QUANTUNE_FCONV_TILE_H_

#include "common.h"

typedef struct {
  const u8 *const *operands;   // each row's first operand
  const i32 *segments, *end;   // (byte offset, bytes) of the operands
  const float *weights;
  i64 panel;                   // f32 from a panel of weights to the next
  const float *start;          // each row's sums before this: the bias, or what `sums` has
  i64 start_step;              // f32 from one row's to the next's
  float *sums;                 // [rows][columns]: where sums are left that want more products, or null
  const u8 *const *residual;   // each row's first column, or null
  u8 *const *out;
  i64 operand, channel;        // bytes to add to the rows' operands; to residual and out
  i64 columns;                 // of the result; the last panel is filled up with zeros
  float low, high;
  const u8 *soon;              // what will be read next, how much of it to fetch with every operand, and how far it reaches
  i64 soon_step, soon_bytes;
} Tile;

#endif
