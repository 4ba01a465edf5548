// The epilogue with NEON: a row of sixteen columns at a time; see store_tile.h for the arithmetic.
#include <arm_neon.h>

#include "common.h"
#include "finish.h"

// Not clamped yet: conversions and narrowing saturate, so u8 results are clamped as bytes.
INLINE float32x4_t four(const i32 *sums, const float *scales, float32x4_t other, const int with_residual, const Finish *f) {
  const float32x4_t v = vfmaq_f32(vld1q_f32(scales + 16), vcvtq_f32_s32(vld1q_s32(sums)), vld1q_f32(scales));
  return with_residual ? vfmaq_f32(v, other, vdupq_n_f32(f->residual_multiplier)) : v;
}

INLINE uint8x16_t saturated(const int32x4_t *v) {
  const int16x8_t left = vqmovn_high_s32(vqmovn_s32(v[0]), v[1]), right = vqmovn_high_s32(vqmovn_s32(v[2]), v[3]);
  return vqmovun_high_s16(vqmovun_s16(left), right);
}

INLINE void sixteen(const int with_residual, const i32 *sums, const float *scales, const Finish *f, const u8 *residual, float32x4_t *v) {
  float32x4_t other[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
  if (with_residual && f->residual_f32) {
    for (int j = 0; j < 4; j++) other[j] = vreinterpretq_f32_u8(vld1q_u8(residual + 16 * j));
  } else if (with_residual) {
    const uint8x16_t bytes = vld1q_u8(residual);
    const uint16x8_t left = vmovl_u8(vget_low_u8(bytes)), right = vmovl_high_u8(bytes);
    other[0] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(left))), other[1] = vcvtq_f32_u32(vmovl_high_u16(left));
    other[2] = vcvtq_f32_u32(vmovl_u16(vget_low_u16(right))), other[3] = vcvtq_f32_u32(vmovl_high_u16(right));
  }
  for (int j = 0; j < 4; j++) v[j] = four(sums + 4 * j, scales + 4 * j, other[j], with_residual, f);
}

INLINE void store_row(const int with_residual, const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out) {
  float32x4_t v[4];
  sixteen(with_residual, sums, scales, f, residual, v);
  if (f->out_f32) {
    for (int j = 0; j < 4; j++) {
      const float32x4_t clamped = vminq_f32(vmaxq_f32(v[j], vdupq_n_f32(f->low)), vdupq_n_f32(f->high));
      vst1q_u8(out + 16 * j, vreinterpretq_u8_f32(clamped));
    }
    return;
  }
  int32x4_t rounded[4];
  for (int j = 0; j < 4; j++) rounded[j] = vcvtnq_s32_f32(v[j]);
  vst1q_u8(out, vminq_u8(vmaxq_u8(saturated(rounded), vdupq_n_u8((u8)f->low)), vdupq_n_u8((u8)f->high)));
}

INLINE void store_rows(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 count) {
  for (i64 i = 0; i < count; i++)
    residual ? store_row(1, sums + i * 16, scales, f, residual[i], out[i]) : store_row(0, sums + i * 16, scales, f, 0, out[i]);
}

#include "store_narrow.h"

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 columns,
                        i64 count) {
  if (columns < 16)
    store_narrow(sums, scales, f, residual, out, columns, count);
  else
    store_rows(sums, scales, f, residual, out, count);
}
