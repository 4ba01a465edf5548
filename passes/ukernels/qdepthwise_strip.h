// A strip: neighbouring output pixels of one row, one block of channels. The unit in which an instruction set computes.
#ifndef QUANTUNE_QDEPTHWISE_STRIP_H_
#define QUANTUNE_QDEPTHWISE_STRIP_H_

#include "common.h"
#include "finish.h"
#include "qdepthwise_params.h"

// What a block of channels is; see qdepthwise_columns.h.
enum { WHOLE, PARTIAL, SPLIT };

typedef struct {
  const u8 *input;     // the first pixel's window, at the block's first channel
  const u8 *residual;  // or null
  u8 *out;
  i64 pixels;
  i64 channels;  // of the block that there are
  int split;     // whether the block's other half are the same channels of the row that lies below by these bytes:
  i64 below_in, below_out;
  i64 in_step;   // bytes from one pixel to the next
  i64 residual_step, out_step;
  const i32 *taps;      // the table, all of it
  const void *weights;  // of the block
  const float *scales;  // of the block
  const i32 *params;
  const Finish *finish;
} Strip;

#endif
