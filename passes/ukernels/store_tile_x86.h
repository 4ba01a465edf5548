// The epilogue with AVX2 and FMA: sixteen columns at a time; see store_tile.h for the arithmetic.
#include <immintrin.h>

#include "common.h"
#include "finish.h"

INLINE __m256 eight(const i32 *sums, const float *scales, const u8 *residual, const Finish *f) {
  __m256 v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)sums)), _mm256_loadu_ps(scales),
                             _mm256_loadu_ps(scales + 16));
  if (residual) {
    const __m256 r = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)residual)));
    v = _mm256_fmadd_ps(r, _mm256_set1_ps(f->residual_multiplier), v);
  }
  return _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(f->low)), _mm256_set1_ps(f->high));
}

INLINE void store_row(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out) {
  const __m256 left = eight(sums, scales, residual, f);
  const __m256 right = eight(sums + 8, scales + 8, residual ? residual + 8 : 0, f);
  if (f->out_f32) {
    _mm256_storeu_ps((float *)out, left), _mm256_storeu_ps((float *)out + 8, right);
    return;
  }
  // Packing works within 128-bit halves; the permutation puts the four quarters back in order.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(left), _mm256_cvtps_epi32(right)), 0xD8);
  _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

INLINE void store_rows(const int with_residual, const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out,
                       i64 count) {
  const i64 filters = f->filters, size = f->out_f32 ? 4 : 1;
  for (i64 i = 0; i < count; i++)
    store_row(sums + i * 16, scales, f, with_residual ? residual + i * filters : 0, out + i * filters * size);
}

// A last tile of fewer than 16 columns goes through buffers, so that nothing beyond the tensors is touched.
OUTLINE void store_narrow(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, i64 columns, i64 count) {
  const i64 filters = f->filters, size = f->out_f32 ? 4 : 1;
  for (i64 i = 0; i < count; i++) {
    u8 result[64], other[16] = {0};
    if (residual) copy_bytes(other, residual + i * filters, columns);
    store_row(sums + i * 16, scales, f, residual ? other : 0, result);
    copy_bytes(out + i * filters * size, result, columns * size);
  }
}

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, i64 columns, i64 count) {
  if (columns < 16)
    store_narrow(sums, scales, f, residual, out, columns, count);
  else if (residual)
    store_rows(1, sums, scales, f, residual, out, count);
  else
    store_rows(0, sums, scales, f, 0, out, count);
}
