// The loops around a strip of a depthwise convolution. An instruction set's qdepthwise.c defines
//   BLOCK, TAPS, Weight   channels of a block, taps of a step, type of a weight; as in `pack_depthwise.py`
//   do_strip(strip)       computes and stores it
// and then includes this file.
#include "common.h"
#include "finish.h"
#include "image.h"
#include "qdepthwise_params.h"
#include "qdepthwise_strip.h"

INLINE void do_row(const i32 *p, const u8 *input, const u8 *residual, u8 *out, const Finish *finish) {
  const u8 *blob = (const u8 *)p;
  const i64 channels = p[QDEPTHWISE_channels], held = p[QDEPTHWISE_pixels], width = p[QDEPTHWISE_width];
  const i64 out_size = p[QDEPTHWISE_out_f32] ? 4 : 1, residual_size = p[QDEPTHWISE_residual_f32] ? 4 : 1;
  for (i64 block = 0; block < p[QDEPTHWISE_blocks]; block++) {
    const i64 first = channels < BLOCK ? 0 : smaller(block * BLOCK, channels - BLOCK);
    Strip s = {
        .input = input + first,
        .residual = residual ? residual + first * residual_size : 0,
        .out = out + first * out_size,
        .pixels = width / held,
        .channels = smaller(BLOCK, channels * held),
        .in_step = p[QDEPTHWISE_in_step_x] * held,
        .residual_step = p[QDEPTHWISE_residual_step_x],
        .out_step = p[QDEPTHWISE_out_step_x] * held,
        .taps = (const i32 *)(blob + p[QDEPTHWISE_taps_offset]),
        .weights = (const Weight *)(blob + p[QDEPTHWISE_weight_offset]) + block * p[QDEPTHWISE_block_weights],
        .scales = (const float *)(blob + p[QDEPTHWISE_scale_offset]) + block * 2 * BLOCK,
        .params = p,
        .finish = finish,
    };
    do_strip(&s);
    if (width % held == 0) continue;
    // The last of an odd number of pixels goes with the one before it.
    s.input += (width - held) * p[QDEPTHWISE_in_step_x], s.out += (width - held) * p[QDEPTHWISE_out_step_x], s.pixels = 1;
    do_strip(&s);
  }
}

INLINE void convolve_depthwise(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 group) {
  const i32 *p = (const i32 *)blob;
  const Finish finish = {as_f32(p[QDEPTHWISE_residual_multiplier]), as_f32(p[QDEPTHWISE_low]), as_f32(p[QDEPTHWISE_high]),
                         p[QDEPTHWISE_out_f32], p[QDEPTHWISE_residual_f32]};
  const Image result = {p[QDEPTHWISE_out_offset], p[QDEPTHWISE_out_step_x], p[QDEPTHWISE_out_step_y]};
  const Frame frame = {p[QDEPTHWISE_frame_top],    p[QDEPTHWISE_frame_left],
                       p[QDEPTHWISE_frame_bottom], p[QDEPTHWISE_frame_right],
                       p[QDEPTHWISE_height],       p[QDEPTHWISE_width],
                       p[QDEPTHWISE_channels] * (p[QDEPTHWISE_out_f32] ? 4 : 1), (u8)p[QDEPTHWISE_frame_fill]};
  const i64 top = group * p[QDEPTHWISE_block_height], bottom = smaller(top + p[QDEPTHWISE_block_height], p[QDEPTHWISE_height]);
  fill_frame(out, &result, &frame, top, bottom);
  for (i64 y = top; y < bottom; y++)
    do_row(p, input + p[QDEPTHWISE_in_offset] + y * p[QDEPTHWISE_in_step_y],
           residual ? residual + p[QDEPTHWISE_residual_offset] + y * p[QDEPTHWISE_residual_step_y] : 0,
           out + result.offset + y * result.step_y, &finish);
}

void SYMBOL(qdepthwise)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  (void)y;
  convolve_depthwise(input + input_offset, 0, blob + blob_offset, out + out_offset, x);
}

void SYMBOL(qdepthwise_residual)(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 input_offset, i64 residual_offset,
                                 i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  (void)y;
  convolve_depthwise(input + input_offset, residual + residual_offset, blob + blob_offset, out + out_offset, x);
}
