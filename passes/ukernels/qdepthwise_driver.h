// The loops around a strip of a depthwise convolution. An instruction set's qdepthwise.c defines
//   BLOCK, TAPS, Weight   channels of a block, taps of a step, type of a weight; as in `pack_depthwise.py`
//   do_strip(strip)       computes and stores it
// and then includes this file.
#include "common.h"
#include "finish.h"
#include "image.h"
#include "qdepthwise_params.h"
#include "qdepthwise_strip.h"

// One block of channels of a row; `rows`: 2 if the row below goes with it.
INLINE void do_block(const i32 *p, i64 block, int split, i64 rows, const u8 *input, const u8 *residual, u8 *out, const Finish *finish) {
  const u8 *blob = (const u8 *)p;
  const i64 size = split ? BLOCK / 2 : BLOCK, channels = p[QDEPTHWISE_channels];
  const i64 first = channels < size ? 0 : smaller(block * BLOCK, channels - size);
  const Strip s = {
      .input = input + first,
      .residual = residual ? residual + first * (p[QDEPTHWISE_residual_f32] ? 4 : 1) : 0,
      .out = out + first * (p[QDEPTHWISE_out_f32] ? 4 : 1),
      .pixels = p[QDEPTHWISE_width],
      .channels = smaller(size, channels),
      .split = split,
      .below_in = (rows - 1) * p[QDEPTHWISE_in_step_y],
      .below_out = (rows - 1) * p[QDEPTHWISE_out_step_y],
      .in_step = p[QDEPTHWISE_in_step_x],
      .residual_step = p[QDEPTHWISE_residual_step_x],
      .out_step = p[QDEPTHWISE_out_step_x],
      .taps = (const i32 *)(blob + p[QDEPTHWISE_taps_offset]),
      .weights = (const Weight *)(blob + p[QDEPTHWISE_weight_offset]) + block * p[QDEPTHWISE_block_weights],
      .scales = (const float *)(blob + p[QDEPTHWISE_scale_offset]) + block * 2 * BLOCK,
      .params = p,
      .finish = finish,
  };
  do_strip(&s);
}

INLINE void convolve_depthwise(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 group, i64 unused) {
  (void)unused;
  const i32 *p = (const i32 *)blob;
  const Finish finish = FINISH(QDEPTHWISE, p);
  const Image result = IMAGE(QDEPTHWISE, p, out);
  const i64 bytes = p[QDEPTHWISE_channels] * (p[QDEPTHWISE_out_f32] ? 4 : 1);
  const Frame frame = FRAME(QDEPTHWISE, p, p[QDEPTHWISE_height], p[QDEPTHWISE_width], bytes);
  const i64 top = group * p[QDEPTHWISE_block_height], bottom = smaller(top + p[QDEPTHWISE_block_height], p[QDEPTHWISE_height]);
  fill_frame(out, &result, &frame, top, bottom);
  const i64 split = p[QDEPTHWISE_split], whole = p[QDEPTHWISE_blocks] - split;
  for (i64 y = top; y < bottom; y++) {
    const u8 *in = input + p[QDEPTHWISE_in_offset] + y * p[QDEPTHWISE_in_step_y];
    const u8 *other = residual ? residual + p[QDEPTHWISE_residual_offset] + y * p[QDEPTHWISE_residual_step_y] : 0;
    u8 *to = out + result.offset + y * result.step_y;
    for (i64 block = 0; block < whole; block++) do_block(p, block, 0, 1, in, other, to, &finish);
    if (split && (y - top) % 2 == 0) do_block(p, whole, 1, smaller(2, bottom - y), in, other, to, &finish);
  }
}

ENTRY_POINTS(qdepthwise, convolve_depthwise)
