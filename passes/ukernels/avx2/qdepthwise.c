// Quantized depthwise convolution for AVX2: two taps at a time, widened to 16 bits and multiplied by `vpmaddwd`, exact for any weights.
//
// Unpacking two widened taps leaves channels 0-3 and 8-11 in one register, 4-7 and 12-15 in the other; packing sums undoes just that.
#define SYMBOL(name) quantune_##name##_avx2
#define BLOCK 16
#define TAPS 2
#define VECS 2
#define SPLITS 0
#include <immintrin.h>

#include "../common.h"
#include "../qdepthwise_strip.h"
#include "../store_tile_avx2.h"

typedef int16_t Weight;
typedef __m256i Vec, Operand;

INLINE __m256i load(const u8 *p, const int part, i64 extent) {
  u8 copied[BLOCK] = {0};
  if (part == PARTIAL) copy_bytes(copied, p, extent), p = copied;
  return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

INLINE void interleave(const u8 *const *taps, const int count, const int part, i64 extent, Vec *x) {
  const __m256i a = load(taps[0], part, extent);
  const __m256i b = count > 1 ? load(taps[1], part, extent) : _mm256_setzero_si256();
  x[0] = _mm256_unpacklo_epi16(a, b), x[1] = _mm256_unpackhi_epi16(a, b);
}

INLINE Vec multiply_add(Vec sum, Vec x, const int16_t *weights) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_loadu_si256((const __m256i *)weights)));
  __asm__("" : "+x"(sum));  // keeps LLVM from adding later, which would take a register for each product
  return sum;
}

INLINE __m256i scaled(Vec sums, const float *scales) {
  return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(scales), _mm256_loadu_ps(scales + 16)));
}

typedef struct {
  __m128i low, high;
} Bounds;

INLINE Bounds bounds_of(const Finish *f) {
  return (Bounds){_mm_set1_epi8((char)(u8)f->low), _mm_set1_epi8((char)(u8)f->high)};
}

// What exceeds 8 bits saturates as it is packed: the clamp is left to bytes.
INLINE void store_quick(const Vec *sums, const float *scales, const Bounds *b, u8 *out, const int part, i64 extent) {
  const __m256i words = _mm256_packs_epi32(scaled(sums[0], scales), scaled(sums[1], scales + 8));
  __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  bytes = _mm_max_epu8(_mm_min_epu8(bytes, b->high), b->low);
  if (part == PARTIAL) {
    u8 copied[BLOCK];
    _mm_storeu_si128((__m128i *)copied, bytes);
    copy_bytes(out, copied, extent);
  } else {
    _mm_storeu_si128((__m128i *)out, bytes);
  }
}

INLINE void store_in_order(const Vec *sums, i32 *to) {
  _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(sums[0], sums[1], 0x20));
  _mm256_storeu_si256((__m256i *)(to + 8), _mm256_permute2x128_si256(sums[0], sums[1], 0x31));
}

#include "../qdepthwise_columns.h"
#include "../qdepthwise_driver.h"
