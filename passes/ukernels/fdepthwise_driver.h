// f32 depthwise convolution, in the vectors of the compiler's own: a few neighbouring output pixels at a time, so that their sums hide the
// multiplier's latency and share the weights. An instruction set's fdepthwise.c defines
//   LANES            f32 of a register
//   PIXELS           whose sums fit the registers twice; images of 7, 14, 28, 56, 112 pixels divide by seven
// and then includes this file.
#include "common.h"
#include "fdepthwise_params.h"
#include "image.h"

typedef float Lanes __attribute__((ext_vector_type(LANES), aligned(4), may_alias));

INLINE Lanes load(const void *p) { return *(const Lanes *)p; }

// Some output pixels of one row, some blocks of their channels.
typedef struct {
  const u8 *inputs[PIXELS], *residuals[PIXELS];
  u8 *outs[PIXELS];
  const i32 *params, *taps;
  int with_residual;
  float low, high;
} Strip;

INLINE void finish(const Strip *s, const int wide, const int with_residual, const i64 *places, Lanes sums[][2]) {
  const Lanes low = s->low, high = s->high;
#pragma clang loop unroll(full)
  for (int i = 0; i < PIXELS; i++) {
    for (int j = 0; j < wide; j++) {
      Lanes v = sums[i][j];
      if (with_residual) v += load(s->residuals[i] + places[j]);
      v = v < low ? low : v;
      *(Lanes *)(s->outs[i] + places[j]) = v > high ? high : v;
    }
  }
}

// `wide` blocks that begin at the bytes `places` of a pixel.
INLINE void multiply_blocks(const Strip *s, const int wide, const i64 *places, const float *weights, const float *bias) {
  const i64 taps = s->params[FDEPTHWISE_taps];
  const u8 *inputs[PIXELS];
  Lanes sums[PIXELS][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < PIXELS; i++) {
    inputs[i] = s->inputs[i] + places[0];
    for (int j = 0; j < wide; j++) sums[i][j] = load(bias + j * LANES);
  }
  const i64 apart = wide > 1 ? places[1] - places[0] : 0;
#pragma clang loop unroll(disable)
  for (i64 tap = 0; tap < taps; tap++) {
    const i64 at = s->taps[tap];
    i64 beside = at + apart;
    PIN(beside);
    const Lanes left = load(weights + tap * LANES), right = wide > 1 ? load(weights + (taps + tap) * LANES) : left;
#pragma clang loop unroll(full)
    for (int i = 0; i < PIXELS; i++) {
      sums[i][0] += load(inputs[i] + at) * left;
      if (wide > 1) sums[i][1] += load(inputs[i] + beside) * right;
    }
  }
  s->with_residual ? finish(s, wide, 1, places, sums) : finish(s, wide, 0, places, sums);
}

OUTLINE void multiply_two(const Strip *s, const i64 *places, const float *weights, const float *bias) {
  multiply_blocks(s, 2, places, weights, bias);
}

OUTLINE void multiply_one(const Strip *s, const i64 *places, const float *weights, const float *bias) {
  multiply_blocks(s, 1, places, weights, bias);
}

// Fewer channels than a register has lanes.
OUTLINE void multiply_narrow(const Strip *s, const float *weights, const float *bias) {
  for (int i = 0; i < PIXELS; i++) {
    for (i64 c = 0; c < s->params[FDEPTHWISE_channels]; c++) {
      float sum = bias[c];
      for (i64 tap = 0; tap < s->params[FDEPTHWISE_taps]; tap++)
        sum += ((const float *)(s->inputs[i] + s->taps[tap]))[c] * weights[tap * LANES + c];
      if (s->with_residual) sum += ((const float *)s->residuals[i])[c];
      sum = sum < s->low ? s->low : sum;
      ((float *)s->outs[i])[c] = sum > s->high ? s->high : sum;
    }
  }
}

// Two blocks of a row's channels, or the one that is left. A strip beyond the row's end repeats its last pixel.
INLINE void do_row(const i32 *p, i64 block, const u8 *input, const u8 *residual, u8 *out) {
  const i64 channels = p[FDEPTHWISE_channels], last = larger(channels - LANES, 0);
  const i64 places[2] = {4 * smaller(block * LANES, last), 4 * smaller((block + 1) * LANES, last)};
  const float *weights = (const float *)((const u8 *)p + p[FDEPTHWISE_weight_offset]) + block * p[FDEPTHWISE_taps] * LANES;
  const float *bias = (const float *)((const u8 *)p + p[FDEPTHWISE_bias_offset]) + block * LANES;
  Strip s = {.params = p,
             .taps = (const i32 *)((const u8 *)p + p[FDEPTHWISE_taps_offset]),
             .with_residual = residual != 0,
             .low = as_f32(p[FDEPTHWISE_low]),
             .high = as_f32(p[FDEPTHWISE_high])};
  for (i64 x = 0; x < p[FDEPTHWISE_width]; x += PIXELS) {
    for (i64 i = 0; i < PIXELS; i++) {
      const i64 at = smaller(x + i, p[FDEPTHWISE_width] - 1);
      s.inputs[i] = input + at * p[FDEPTHWISE_in_step_x];
      s.outs[i] = out + at * p[FDEPTHWISE_out_step_x];
      s.residuals[i] = residual + at * p[FDEPTHWISE_residual_step_x];
    }
    if (channels < LANES)
      multiply_narrow(&s, weights, bias);
    else if (block + 1 < p[FDEPTHWISE_blocks])
      multiply_two(&s, places, weights, bias);
    else
      multiply_one(&s, places, weights, bias);
  }
}

INLINE void convolve_depthwise(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  const i32 *p = (const i32 *)blob;
  const Image result = IMAGE(FDEPTHWISE, p, out);
  const Frame frame = FRAME(FDEPTHWISE, p, p[FDEPTHWISE_height], p[FDEPTHWISE_width], p[FDEPTHWISE_channels] * 4);
  const i64 top = x * p[FDEPTHWISE_block_height], bottom = smaller(top + p[FDEPTHWISE_block_height], p[FDEPTHWISE_height]);
  const i64 begin = y * p[FDEPTHWISE_block_channels], end = smaller(begin + p[FDEPTHWISE_block_channels], p[FDEPTHWISE_blocks]);
  if (y == 0) fill_frame(out, &result, &frame, top, bottom);
  // All rows of some channels before the next: so much of the input stays in L1 until the windows below have read it.
  for (i64 block = begin; block < end; block += 2)
    for (i64 row = top; row < bottom; row++)
      do_row(p, block, input + p[FDEPTHWISE_in_offset] + row * p[FDEPTHWISE_in_step_y],
             residual ? residual + p[FDEPTHWISE_residual_offset] + row * p[FDEPTHWISE_residual_step_y] : 0,
             out + result.offset + row * result.step_y);
}

ENTRY_POINTS(fdepthwise, convolve_depthwise)
