// The epilogue with AVX2 and FMA: sixteen columns at a time, two rows where the result is u8; see store_tile.h for the arithmetic.
#include <immintrin.h>

#include "common.h"
#include "finish.h"

// Clamped from above only: what lies below the range of i32 converts to the least i32, so u8 results are clamped from below as bytes.
INLINE __m256 eight(const int with_residual, const i32 *sums, const float *scales, const u8 *residual, const Finish *f) {
  __m256 v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)sums)), _mm256_loadu_ps(scales),
                             _mm256_loadu_ps(scales + 16));
  if (with_residual) {
    const __m256 r = f->residual_f32 ? _mm256_loadu_ps((const float *)residual)
                                     : _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)residual)));
    v = _mm256_fmadd_ps(r, _mm256_set1_ps(f->residual_multiplier), v);
  }
  return _mm256_min_ps(v, _mm256_set1_ps(f->high));
}

// Sixteen 16-bit words of a row; packing works within 128-bit halves, so the quarters come in the order 0 2 1 3.
INLINE __m256i words(const int with_residual, const i32 *sums, const float *scales, const u8 *residual, const Finish *f) {
  const __m256 left = eight(with_residual, sums, scales, residual, f);
  const __m256 right = eight(with_residual, sums + 8, scales + 8, residual + 8 * (f->residual_f32 ? 4 : 1), f);
  return _mm256_packs_epi32(_mm256_cvtps_epi32(left), _mm256_cvtps_epi32(right));
}

INLINE void store_u8(const int with_residual, const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual,
                     u8 *const *out, i64 count) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), low = _mm256_set1_epi8((char)(u8)f->low);
  for (i64 i = 0; i < count; i += 2) {
    const i64 next = i + 1 < count ? i + 1 : i;
    const __m256i a = words(with_residual, sums + i * 16, scales, with_residual ? residual[i] : 0, f);
    const __m256i b = words(with_residual, sums + next * 16, scales, with_residual ? residual[next] : 0, f);
    const __m256i v = _mm256_max_epu8(_mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order), low);
    _mm_storeu_si128((__m128i *)out[i], _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)out[next], _mm256_extracti128_si256(v, 1));
  }
}

INLINE void store_f32(const int with_residual, const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual,
                      u8 *const *out, i64 count) {
  const __m256 low = _mm256_set1_ps(f->low);
  for (i64 i = 0; i < count; i++) {
    for (i64 j = 0; j < 16; j += 8) {
      const u8 *other = with_residual ? residual[i] + j * (f->residual_f32 ? 4 : 1) : 0;
      _mm256_storeu_ps((float *)out[i] + j, _mm256_max_ps(eight(with_residual, sums + i * 16 + j, scales + j, other, f), low));
    }
  }
}

INLINE void store_rows(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 count) {
  if (f->out_f32)
    residual ? store_f32(1, sums, scales, f, residual, out, count) : store_f32(0, sums, scales, f, 0, out, count);
  else
    residual ? store_u8(1, sums, scales, f, residual, out, count) : store_u8(0, sums, scales, f, 0, out, count);
}

#include "store_narrow.h"

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 columns,
                        i64 count) {
  if (columns < 16)
    store_narrow(sums, scales, f, residual, out, columns, count);
  else
    store_rows(sums, scales, f, residual, out, count);
}
