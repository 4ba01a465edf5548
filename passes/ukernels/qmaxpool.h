// Maximum pooling; an instruction set's qmaxpool.c defines SYMBOL and BLOCK, the bytes of a vector, and includes this file.
#include "common.h"
#include "image.h"
#include "qmaxpool_params.h"

#define JOIN_NOW(a, b) a##_##b
#define JOIN(a, b) JOIN_NOW(a, b)
#define SMALL 16

#if BLOCK != SMALL
#define BYTES BLOCK
#include "qmaxpool_block.h"
#endif
#define BYTES SMALL
#include "qmaxpool_block.h"

// Fewer channels than the smallest block has.
OUTLINE void pool_narrow(const i32 *p, const u8 *in, u8 *out) {
  for (i64 x = 0; x < p[QMAXPOOL_width]; x++, in += p[QMAXPOOL_in_step_x], out += p[QMAXPOOL_out_step_x])
    for (i64 c = 0; c < p[QMAXPOOL_channels]; c++) {
      u8 most = 0;
      for (i64 i = 0; i < p[QMAXPOOL_window_height]; i++)
        for (i64 j = 0; j < p[QMAXPOOL_window_width]; j++)
          most = (u8)larger(most, in[i * p[QMAXPOOL_row_step] + j * p[QMAXPOOL_column_step] + c]);
      out[c] = most;
    }
}

INLINE void pool_row(const i32 *p, const u8 *in, u8 *out) {
  if (p[QMAXPOOL_channels] < SMALL)
    pool_narrow(p, in, out);
  else if (p[QMAXPOOL_channels] < BLOCK)
    JOIN(pool_row, SMALL)(p, in, out);
  else
    JOIN(pool_row, BLOCK)(p, in, out);
}

void SYMBOL(qmaxpool)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 group, i64 y) {
  (void)y;
  const i32 *p = (const i32 *)(blob + blob_offset);
  const u8 *in = input + input_offset + p[QMAXPOOL_in_offset];
  const Image result = IMAGE(QMAXPOOL, p, out);
  const Frame frame = FRAME(QMAXPOOL, p, p[QMAXPOOL_height], p[QMAXPOOL_width], p[QMAXPOOL_channels]);
  const i64 top = group * p[QMAXPOOL_block_height], bottom = smaller(top + p[QMAXPOOL_block_height], p[QMAXPOOL_height]);
  out += out_offset;
  fill_frame(out, &result, &frame, top, bottom);
  for (i64 row = top; row < bottom; row++) pool_row(p, in + row * p[QMAXPOOL_in_step_y], out + result.offset + row * result.step_y);
}
