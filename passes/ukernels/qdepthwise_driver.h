// The loops around sixteen channels of one output pixel. An instruction set's qdepthwise.c defines
//   multiply_pixel(pixel, taps, weights, pairs, sums)   i32[16] of the channels in order
// and includes its store_tile and then this file.
#include "common.h"
#include "finish.h"
#include "qdepthwise_params.h"

#define BLOCK 16

typedef struct {
  const u8 *input;
  const u8 *residual;
  u8 *out;
  const i32 *params;
  Finish finish;
} Depthwise;

// Fewer than 16 channels: the taps are copied to a buffer, so that nothing beyond the tensor is read.
OUTLINE void multiply_narrow(const u8 *pixel, const i32 *taps, const int16_t *weights, i64 pairs, i64 channels, i32 *sums) {
  for (i64 j = 0; j < BLOCK; j++) sums[j] = 0;
  for (i64 pair = 0; pair < pairs; pair++) {
    u8 words[2 * BLOCK] = {0};
    const i32 places[2] = {0, BLOCK};
    i32 part[BLOCK];
    copy_bytes(words, pixel + taps[2 * pair], channels);
    copy_bytes(words + BLOCK, pixel + taps[2 * pair + 1], channels);
    multiply_pixel(words, places, weights + pair * 2 * BLOCK, 1, part);
    for (i64 j = 0; j < BLOCK; j++) sums[j] += part[j];
  }
}

INLINE void do_pixel(const Depthwise *d, i64 y, i64 x, i64 block) {
  const i32 *p = d->params;
  const u8 *blob = (const u8 *)p;
  const i64 channels = p[QDEPTHWISE_channels], pairs = p[QDEPTHWISE_pairs];
  const i64 first = channels < BLOCK ? 0 : smaller(block * BLOCK, channels - BLOCK);
  const i32 *taps = (const i32 *)(blob + p[QDEPTHWISE_taps_offset]);
  const int16_t *weights = (const int16_t *)(blob + p[QDEPTHWISE_weight_offset]) + block * pairs * 2 * BLOCK;
  const float *scales = (const float *)(blob + p[QDEPTHWISE_scale_offset]) + block * 2 * BLOCK;
  const u8 *pixel = d->input + y * p[QDEPTHWISE_step_y] + x * p[QDEPTHWISE_step_x] + first;
  const i64 at = (y * p[QDEPTHWISE_width] + x) * channels + first;
  i32 sums[BLOCK] __attribute__((aligned(64)));
  if (channels < BLOCK)
    multiply_narrow(pixel, taps, weights, pairs, channels, sums);
  else
    multiply_pixel(pixel, taps, weights, pairs, sums);
  const u8 *residual = d->residual + at;
  u8 *out = d->out + at * (d->finish.out_f32 ? 4 : 1);
  store_tile(sums, scales, &d->finish, d->residual ? &residual : 0, &out, smaller(BLOCK, channels), 1);
}

INLINE void convolve_depthwise(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 group) {
  const i32 *p = (const i32 *)blob;
  const Depthwise d = {input, residual, out, p,
                       {as_f32(p[QDEPTHWISE_residual_multiplier]), as_f32(p[QDEPTHWISE_low]), as_f32(p[QDEPTHWISE_high]),
                        p[QDEPTHWISE_out_f32], 0}};
  const i64 top = group * p[QDEPTHWISE_block_height], bottom = smaller(top + p[QDEPTHWISE_block_height], p[QDEPTHWISE_height]);
  for (i64 y = top; y < bottom; y++)
    for (i64 block = 0; block < p[QDEPTHWISE_blocks]; block++)
      for (i64 x = 0; x < p[QDEPTHWISE_width]; x++) do_pixel(&d, y, x, block);
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
