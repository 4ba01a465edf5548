// Quantized depthwise convolution for AVX-512 with VNNI: `vpdpbusd` adds four taps of 16 channels at once.
//
// Unpacking bytes, then pairs, puts four taps of a channel side by side, and channels 0-3 of every 128 bits into the first register, 4-7
// into the second. Packing 32 bits to 16 and to 8 undoes just that, so no result is ever moved into place.
#define SYMBOL(name) quantune_##name##_avx512vnni
#define BLOCK 64
#define TAPS 4
#define VECS 4
#define SPLITS 1
#include <immintrin.h>

#include "../common.h"
#include "../qdepthwise_strip.h"
#include "store_tile.h"

typedef s8 Weight;
typedef __m512i Vec, Operand;

INLINE __mmask64 first_lanes(i64 channels) { return ~0ull >> (64 - channels); }

INLINE __m512i load(const u8 *p, const int part, i64 extent) {
  if (part == PARTIAL) return _mm512_maskz_loadu_epi8(first_lanes(extent), p);
  if (part == WHOLE) return _mm512_loadu_si512(p);
  const __m256i upper = _mm256_loadu_si256((const __m256i *)p), lower = _mm256_loadu_si256((const __m256i *)(p + extent));
  return _mm512_inserti64x4(_mm512_castsi256_si512(upper), lower, 1);
}

INLINE void interleave(const u8 *const *taps, const int count, const int part, i64 extent, Vec *x) {
  __m512i tap[4];
  for (int i = 0; i < 4; i++) tap[i] = i < count ? load(taps[i], part, extent) : _mm512_setzero_si512();
  const __m512i low = _mm512_unpacklo_epi8(tap[0], tap[1]), high = _mm512_unpackhi_epi8(tap[0], tap[1]);
  const __m512i other_low = _mm512_unpacklo_epi8(tap[2], tap[3]), other_high = _mm512_unpackhi_epi8(tap[2], tap[3]);
  x[0] = _mm512_unpacklo_epi16(low, other_low), x[1] = _mm512_unpackhi_epi16(low, other_low);
  x[2] = _mm512_unpacklo_epi16(high, other_high), x[3] = _mm512_unpackhi_epi16(high, other_high);
}

INLINE Vec multiply_add(Vec sum, Vec x, const s8 *weights) { return _mm512_dpbusd_epi32(sum, x, _mm512_loadu_si512(weights)); }

typedef struct {
  __m512i low, high;
} Bounds;

INLINE Bounds bounds_of(const Finish *f) {
  return (Bounds){_mm512_set1_epi8((char)(u8)f->low), _mm512_set1_epi8((char)(u8)f->high)};
}

// What exceeds 8 bits saturates as it is packed: the clamp is left to bytes.
INLINE void store_quick(const Vec *sums, const float *scales, const Bounds *b, u8 *out, const int part, i64 extent) {
  __m512i v[4];
  for (int i = 0; i < 4; i++)
    v[i] = _mm512_cvtps_epi32(
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[i]), _mm512_loadu_ps(scales + 16 * i), _mm512_loadu_ps(scales + 64 + 16 * i)));
  __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
  bytes = _mm512_max_epu8(_mm512_min_epu8(bytes, b->high), b->low);
  if (part == PARTIAL) {
    _mm512_mask_storeu_epi8(out, first_lanes(extent), bytes);
  } else if (part == WHOLE) {
    _mm512_storeu_si512(out, bytes);
  } else {
    _mm256_storeu_si256((__m256i *)out, _mm512_castsi512_si256(bytes));
    _mm256_storeu_si256((__m256i *)(out + extent), _mm512_extracti64x4_epi64(bytes, 1));
  }
}

INLINE void store_in_order(const Vec *sums, i32 *to) {
  for (int i = 0; i < 4; i++) {
    _mm_storeu_si128((__m128i *)(to + 4 * i), _mm512_castsi512_si128(sums[i]));
    _mm_storeu_si128((__m128i *)(to + 16 + 4 * i), _mm512_extracti32x4_epi32(sums[i], 1));
    _mm_storeu_si128((__m128i *)(to + 32 + 4 * i), _mm512_extracti32x4_epi32(sums[i], 2));
    _mm_storeu_si128((__m128i *)(to + 48 + 4 * i), _mm512_extracti32x4_epi32(sums[i], 3));
  }
}

#include "../qdepthwise_columns.h"
#include "../qdepthwise_driver.h"
