// Maximum pooling; an instruction set's qmaxpool.c defines SYMBOL and BLOCK, the bytes of a vector, and includes this file.
#include "common.h"
#include "image.h"
#include "qmaxpool_params.h"

typedef u8 Block __attribute__((vector_size(BLOCK)));

INLINE Block load_block(const u8 *p) {
  Block v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE Block column_maximum(const u8 *in, i64 row_step, i64 count) {
  Block most = load_block(in);
  for (i64 i = 1; i < count; i++) most = __builtin_elementwise_max(most, load_block(in + i * row_step));
  return most;
}

// One block of channels of a row's pixels.
OUTLINE void pool_blocks(const i32 *p, const u8 *in, u8 *out) {
  const i64 column_step = p[QMAXPOOL_column_step], row_step = p[QMAXPOOL_row_step];
  for (i64 x = 0; x < p[QMAXPOOL_width]; x++, in += p[QMAXPOOL_in_step_x], out += p[QMAXPOOL_out_step_x]) {
    Block most = column_maximum(in, row_step, p[QMAXPOOL_window_height]);
    for (i64 j = 1; j < p[QMAXPOOL_window_width]; j++)
      most = __builtin_elementwise_max(most, column_maximum(in + j * column_step, row_step, p[QMAXPOOL_window_height]));
    __builtin_memcpy(out, &most, sizeof most);
  }
}

// Windows of 3x3 share columns with their neighbours. `stride`: of a window in columns, a constant 1 or 2.
INLINE void pool_threes(const int stride, const i32 *p, const u8 *in, u8 *out) {
  const i64 column_step = p[QMAXPOOL_column_step], row_step = p[QMAXPOOL_row_step], out_step = p[QMAXPOOL_out_step_x];
  const u8 *end = out + p[QMAXPOOL_width] * out_step;
  Block first = column_maximum(in, row_step, 3), second = column_maximum(in + column_step, row_step, 3);
  for (in += 2 * column_step;; in += stride * column_step) {
    const Block third = column_maximum(in, row_step, 3);
    const Block most = __builtin_elementwise_max(first, __builtin_elementwise_max(second, third));
    __builtin_memcpy(out, &most, sizeof most);
    if ((out += out_step) == end) return;
    first = stride == 1 ? second : third;
    second = stride == 1 ? third : column_maximum(in + column_step, row_step, 3);
  }
}

OUTLINE void pool_threes_1(const i32 *p, const u8 *in, u8 *out) { pool_threes(1, p, in, out); }
OUTLINE void pool_threes_2(const i32 *p, const u8 *in, u8 *out) { pool_threes(2, p, in, out); }

// Fewer channels than a block has.
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
  const i64 channels = p[QMAXPOOL_channels];
  if (channels < BLOCK) return pool_narrow(p, in, out);
  const int threes = p[QMAXPOOL_window_height] == 3 && p[QMAXPOOL_window_width] == 3;
  // The last block ends with the last channel.
  for (i64 c = 0;; c = smaller(c + BLOCK, channels - BLOCK)) {
    if (threes && p[QMAXPOOL_in_step_x] == p[QMAXPOOL_column_step])
      pool_threes_1(p, in + c, out + c);
    else if (threes && p[QMAXPOOL_in_step_x] == 2 * p[QMAXPOOL_column_step])
      pool_threes_2(p, in + c, out + c);
    else
      pool_blocks(p, in + c, out + c);
    if (c == channels - BLOCK) return;
  }
}

void SYMBOL(qmaxpool)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 group, i64 y) {
  (void)y;
  const i32 *p = (const i32 *)(blob + blob_offset);
  const u8 *in = input + input_offset + p[QMAXPOOL_in_offset];
  const Image result = {p[QMAXPOOL_out_offset], p[QMAXPOOL_out_step_x], p[QMAXPOOL_out_step_y]};
  const Frame frame = {p[QMAXPOOL_frame_top], p[QMAXPOOL_frame_left], p[QMAXPOOL_frame_bottom], p[QMAXPOOL_frame_right],
                       p[QMAXPOOL_height],    p[QMAXPOOL_width],      p[QMAXPOOL_channels],     (u8)p[QMAXPOOL_frame_fill]};
  const i64 top = group * p[QMAXPOOL_block_height], bottom = smaller(top + p[QMAXPOOL_block_height], p[QMAXPOOL_height]);
  out += out_offset;
  fill_frame(out, &result, &frame, top, bottom);
  for (i64 row = top; row < bottom; row++) pool_row(p, in + row * p[QMAXPOOL_in_step_y], out + result.offset + row * result.step_y);
}
