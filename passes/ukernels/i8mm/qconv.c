// Quantized convolution for 64-bit Arm with 8-bit matrix products: `usmmla` multiplies two rows of eight u8 with two columns of eight s8.
//
// An accumulator is a square of two rows and two columns; 24 of them, three pairs of rows and a pair of columns' weights stay in registers.
// Weights lie in steps of eight operands.
#define SYMBOL(name) quantune_##name##_i8mm
#define TILE_ROWS 6
#include <arm_neon.h>

#include "../common.h"
#include "../qconv_params.h"

INLINE void multiply_pairs(const int pairs, const u8 *const *operands, const s8 *w, const i32 *segment, const i32 *end, i32 *sums) {
  const u8 *a[TILE_ROWS];
  int32x4_t squares[TILE_ROWS / 2][8];
  for (int i = 0; i < 2 * pairs; i++) a[i] = operands[i];
  for (int i = 0; i < pairs; i++)
    for (int j = 0; j < 8; j++) squares[i][j] = vdupq_n_s32(0);
  for (; segment != end; segment += 2) {
    i64 k = segment[0];
    const i64 last = k + segment[1];
#pragma clang loop unroll(disable)
    while (k != last) {
      uint8x16_t x[TILE_ROWS / 2];
      for (int i = 0; i < pairs; i++) x[i] = vcombine_u8(vld1_u8(a[2 * i] + k), vld1_u8(a[2 * i + 1] + k));
      for (int j = 0; j < 8; j++) {
        const int8x16_t v = vld1q_s8(w + 16 * j);
        for (int i = 0; i < pairs; i++) squares[i][j] = vusmmlaq_s32(squares[i][j], x[i], v);
      }
      k += 8, w += 128;
      PIN(k);
    }
  }
  for (int i = 0; i < pairs; i++)
    for (int j = 0; j < 8; j += 2) {
      const int64x2_t left = vreinterpretq_s64_s32(squares[i][j]), right = vreinterpretq_s64_s32(squares[i][j + 1]);
      vst1q_s32(sums + 32 * i + 2 * j, vreinterpretq_s32_s64(vzip1q_s64(left, right)));
      vst1q_s32(sums + 32 * i + 2 * j + 16, vreinterpretq_s32_s64(vzip2q_s64(left, right)));
    }
}

#define PAIRS(n)                                                                                               \
  OUTLINE void multiply_##n(const u8 *const *a, const s8 *w, const i32 *segment, const i32 *end, i32 *sums) {  \
    multiply_pairs(n, a, w, segment, end, sums);                                                               \
  }
PAIRS(1) PAIRS(2) PAIRS(3)

// An odd row is computed twice.
INLINE void multiply_tile(const u8 *const *operands, const s8 *weights, const u8 *schedule, const i32 *segments, const i32 *end,
                          i64 count, i32 *sums) {
  (void)schedule;
  const u8 *filled[TILE_ROWS];
  for (i64 i = 0; i < TILE_ROWS; i++) filled[i] = operands[i < count ? i : count - 1];
  switch ((count + 1) / 2) {
    case 3: multiply_3(filled, weights, segments, end, sums); break;
    case 2: multiply_2(filled, weights, segments, end, sums); break;
    default: multiply_1(filled, weights, segments, end, sums);
  }
}

#include "../store_tile_neon.h"
#include "../qconv_driver.h"
