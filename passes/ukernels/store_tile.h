// The epilogue in plain C: v = fma(f32(sum), m, b), with a residual v = fma(f32(r), m_r, v), then clamp and round half to even, or f32.
#include "common.h"
#include "finish.h"

INLINE float finish(i32 sum, float multiplier, float offset, const u8 *residual, const Finish *f) {
  float v = __builtin_fmaf((float)sum, multiplier, offset);
  if (residual) v = __builtin_fmaf((float)*residual, f->residual_multiplier, v);
  v = v < f->low ? f->low : v;
  return v > f->high ? f->high : v;
}

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, i64 columns, i64 count) {
  const i64 filters = f->filters;
  for (i64 i = 0; i < count; i++) {
    for (i64 j = 0; j < columns; j++) {
      const float v = finish(sums[i * 16 + j], scales[j], scales[16 + j], residual ? residual + i * filters + j : 0, f);
      if (f->out_f32)
        __builtin_memcpy(out + (i * filters + j) * 4, &v, 4);
      else  // the bounds are whole numbers, so rounding after the clamp stays inside
        out[i * filters + j] = (u8)__builtin_rintf(v);
    }
  }
}
