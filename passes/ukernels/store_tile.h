// The epilogue in plain C: v = fma(f32(sum), m, b), with a residual v = fma(f32(r), m_r, v), then clamp and round half to even, or f32.
#include "common.h"
#include "qconv_params.h"

INLINE float finish(i32 sum, float multiplier, float offset, const u8 *residual, const i32 *p) {
  float v = __builtin_fmaf((float)sum, multiplier, offset);
  if (residual) v = __builtin_fmaf((float)*residual, as_f32(p[QCONV_residual_multiplier]), v);
  const float low = as_f32(p[QCONV_low]), high = as_f32(p[QCONV_high]);
  v = v < low ? low : v;
  return v > high ? high : v;
}

OUTLINE void store_tile(const i32 *sums, const float *scales, const i32 *p, const u8 *residual, u8 *out, i64 columns, i64 count) {
  const i64 filters = p[QCONV_filters];
  for (i64 i = 0; i < count; i++) {
    for (i64 j = 0; j < columns; j++) {
      const float v = finish(sums[i * 16 + j], scales[j], scales[16 + j], residual ? residual + i * filters + j : 0, p);
      if (p[QCONV_out_f32])
        __builtin_memcpy(out + (i * filters + j) * 4, &v, 4);
      else  // the bounds are whole numbers, so rounding after the clamp stays inside
        out[i * filters + j] = (u8)__builtin_rintf(v);
    }
  }
}
