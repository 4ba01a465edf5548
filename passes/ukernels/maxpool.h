// Maximum pooling of u8 (qmaxpool) or f32 (fmaxpool). A family's file defines KERNEL, its symbol, ELEMENT, and BLOCK, the bytes
// of a vector, and includes this one. As in the reference, a window with a NaN gives NaN.
#include "common.h"
#include "image.h"
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

void KERNEL(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 group, i64 y) {
  (void)y;
  const i32 *p = (const i32 *)(blob + blob_offset);
  const u8 *in = input + input_offset + p[MAXPOOL_in_offset];
  const Image result = IMAGE(MAXPOOL, p, out);
  const Frame frame = FRAME(MAXPOOL, p, p[MAXPOOL_height], p[MAXPOOL_width], p[MAXPOOL_pixel_bytes]);
  const i64 top = group * p[MAXPOOL_block_height], bottom = smaller(top + p[MAXPOOL_block_height], p[MAXPOOL_height]);
  out += out_offset;
  fill_frame(out, &result, &frame, top, bottom);
  for (i64 row = top; row < bottom; row++) pool_row(p, in + row * p[MAXPOOL_in_step_y], out + result.offset + row * result.step_y);
}
