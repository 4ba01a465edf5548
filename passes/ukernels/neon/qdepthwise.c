// Quantized depthwise convolution for 64-bit Arm: a tap of sixteen channels at a time, widened to 16 bits and multiplied by `smlal`, exact
// for any weights.
#define SYMBOL(name) quantune_##name##_neon
#define BLOCK 16
#define TAPS 1
#define VECS 4
#define SPLITS 0
#include <arm_neon.h>

#include "../common.h"
#include "../qdepthwise_strip.h"
#include "../store_tile_neon.h"

typedef int16_t Weight;
typedef int32x4_t Vec;
typedef int16x4_t Operand;

INLINE void interleave(const u8 *const *taps, const int count, const int part, i64 extent, Operand *x) {
  (void)count;
  u8 copied[BLOCK] = {0};
  const u8 *from = taps[0];
  if (part == PARTIAL) copy_bytes(copied, from, extent), from = copied;
  const uint8x16_t bytes = vld1q_u8(from);
  const int16x8_t left = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))), right = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
  x[0] = vget_low_s16(left), x[1] = vget_high_s16(left), x[2] = vget_low_s16(right), x[3] = vget_high_s16(right);
}

INLINE Vec multiply_add(Vec sum, Operand x, const int16_t *weights) { return vmlal_s16(sum, x, vld1_s16(weights)); }

typedef struct {
  uint8x16_t low, high;
} Bounds;

INLINE Bounds bounds_of(const Finish *f) { return (Bounds){vdupq_n_u8((u8)f->low), vdupq_n_u8((u8)f->high)}; }

// Conversions and narrowing saturate: the clamp is left to bytes.
INLINE void store_quick(const Vec *sums, const float *scales, const Bounds *b, u8 *out, const int part, i64 extent) {
  int32x4_t v[VECS];
  for (int i = 0; i < VECS; i++)
    v[i] = vcvtnq_s32_f32(vfmaq_f32(vld1q_f32(scales + 16 + 4 * i), vcvtq_f32_s32(sums[i]), vld1q_f32(scales + 4 * i)));
  const uint8x16_t bytes = vminq_u8(vmaxq_u8(saturated(v), b->low), b->high);
  u8 copied[BLOCK];
  vst1q_u8(part == PARTIAL ? copied : out, bytes);
  if (part == PARTIAL) copy_bytes(out, copied, extent);
}

INLINE void store_in_order(const Vec *sums, i32 *to) {
  for (int i = 0; i < VECS; i++) vst1q_s32(to + 4 * i, sums[i]);
}

#include "../qdepthwise_columns.h"
#include "../qdepthwise_driver.h"
