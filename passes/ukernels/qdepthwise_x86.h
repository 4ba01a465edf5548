// Sixteen channels of one output pixel: unpacking a pair of taps puts channels 0-3 and 8-11 into one register, 4-7 and 12-15 into the other.
#include <immintrin.h>

#include "common.h"

INLINE __m256i widened(const u8 *p) { return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)); }

INLINE __m256i add_products(__m256i sums, __m256i x, const int16_t *weights) {
  const __m256i w = _mm256_loadu_si256((const __m256i *)weights);
#ifdef __AVX512VNNI__
  return _mm256_dpwssd_epi32(sums, x, w);
#else
  return _mm256_add_epi32(sums, _mm256_madd_epi16(x, w));
#endif
}

INLINE void multiply_pixel(const u8 *pixel, const i32 *taps, const int16_t *weights, i64 pairs, i32 *sums) {
  __m256i low = _mm256_setzero_si256(), high = low;
  for (i64 pair = 0; pair < pairs; pair++) {
    const __m256i a = widened(pixel + taps[2 * pair]), b = widened(pixel + taps[2 * pair + 1]);
    low = add_products(low, _mm256_unpacklo_epi16(a, b), weights + pair * 32);
    high = add_products(high, _mm256_unpackhi_epi16(a, b), weights + pair * 32 + 16);
  }
  _mm256_storeu_si256((__m256i *)sums, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256((__m256i *)(sums + 8), _mm256_permute2x128_si256(low, high, 0x31));
}

#include "store_tile_avx2.h"
#include "qdepthwise_driver.h"
