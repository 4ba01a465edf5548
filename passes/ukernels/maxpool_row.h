// A row of maximum pooling. Who includes this file defines ELEMENT, u8 or float, and BLOCK, the bytes of a vector. As in the reference,
// a window with a NaN gives NaN.
#ifndef QUANTUNE_MAXPOOL_ROW_H_
#define QUANTUNE_MAXPOOL_ROW_H_

#include "common.h"
#include "maxpool_params.h"

#define JOIN_NOW(a, b) a##_##b
#define JOIN(a, b) JOIN_NOW(a, b)
#define SMALL 16

#pragma clang diagnostic ignored "-Wtautological-compare"  // x != x asks whether f32 is NaN, and never holds for u8

typedef ELEMENT Element;

#if BLOCK != SMALL
#define BYTES BLOCK
#include "maxpool_block.h"
#endif
#define BYTES SMALL
#include "maxpool_block.h"

// Fewer channels than the smallest block has.
OUTLINE void pool_narrow(const i32 *p, const u8 *in, u8 *out) {
  for (i64 x = 0; x < p[MAXPOOL_width]; x++, in += p[MAXPOOL_in_step_x], out += p[MAXPOOL_out_step_x])
    for (i64 c = 0; c < p[MAXPOOL_pixel_bytes]; c += (i64)sizeof(Element)) {
      Element most = *(const Element *)(in + c);
      for (i64 i = 0; i < p[MAXPOOL_window_height]; i++)
        for (i64 j = 0; j < p[MAXPOOL_window_width]; j++) {
          const Element next = *(const Element *)(in + i * p[MAXPOOL_row_step] + j * p[MAXPOOL_column_step] + c);
          most = next > most || next != next ? next : most;
        }
      *(Element *)(out + c) = most;
    }
}

INLINE void pool_row(const i32 *p, const u8 *in, u8 *out) {
  if (p[MAXPOOL_pixel_bytes] < SMALL)
    pool_narrow(p, in, out);
  else if (p[MAXPOOL_pixel_bytes] < BLOCK)
    JOIN(pool_row, SMALL)(p, in, out);
  else
    JOIN(pool_row, BLOCK)(p, in, out);
}

#endif
