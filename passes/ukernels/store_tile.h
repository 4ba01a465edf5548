// The epilogue in plain C: v = fma(f32(sum), m, b), with a residual v = fma(f32(r), m_r, v), then clamp and round half to even, or f32.
#include "common.h"
#include "finish.h"

INLINE float residual_value(const u8 *residual, i64 column, const Finish *f) {
  if (!f->residual_f32) return (float)residual[column];
  float value;
  __builtin_memcpy(&value, residual + 4 * column, 4);
  return value;
}

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 columns,
                        i64 count) {
  for (i64 i = 0; i < count; i++) {
    for (i64 j = 0; j < columns; j++) {
      float v = __builtin_fmaf((float)sums[i * 16 + j], scales[j], scales[16 + j]);
      if (residual) v = __builtin_fmaf(residual_value(residual[i], j, f), f->residual_multiplier, v);
      v = v < f->low ? f->low : v;
      v = v > f->high ? f->high : v;
      if (f->out_f32)
        __builtin_memcpy(out[i] + 4 * j, &v, 4);
      else  // the bounds are whole numbers, so rounding after the clamp stays inside
        out[i][j] = (u8)__builtin_rintf(v);
    }
  }
}
