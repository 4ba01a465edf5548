// Maximum pooling of u8 (qmaxpool) or f32 (fmaxpool). A family's file defines KERNEL, its symbol, and what maxpool_row.h wants, and
// includes this one.
#include "common.h"
#include "image.h"
#include "maxpool_row.h"

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
