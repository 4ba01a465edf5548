// Sixteen values at once in the compiler's own vectors: as wide as the instruction set has them, the same code for all.
#ifndef QUANTUNE_LANES_H_
#define QUANTUNE_LANES_H_

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "common.h"

typedef float Floats __attribute__((vector_size(64)));
typedef i32 Words __attribute__((vector_size(64)));
typedef u8 Bytes __attribute__((vector_size(16)));

// Within bounds that are no NaN. A NaN becomes a bound on x86, where the compiler's own minimum would cost three instructions to keep it.
INLINE Floats bounded(Floats v, float low, float high) {
#if defined(__AVX512F__)
  return (Floats)_mm512_min_ps(_mm512_max_ps((__m512)v, _mm512_set1_ps(low)), _mm512_set1_ps(high));
#elif defined(__AVX2__)
  __m256 half[2];
  __builtin_memcpy(half, &v, sizeof v);
  for (int i = 0; i < 2; i++) half[i] = _mm256_min_ps(_mm256_max_ps(half[i], _mm256_set1_ps(low)), _mm256_set1_ps(high));
  __builtin_memcpy(&v, half, sizeof v);
  return v;
#else
  return __builtin_elementwise_min(__builtin_elementwise_max(v, (Floats){} + low), (Floats){} + high);
#endif
}

// To whole numbers, halves to even; the values must fit.
INLINE Words rounded(Floats v) {
#if defined(__AVX512F__)
  return (Words)_mm512_cvtps_epi32((__m512)v);
#elif defined(__AVX2__)
  __m256 half[2];
  Words words;
  __builtin_memcpy(half, &v, sizeof v);
  const __m256i found[2] = {_mm256_cvtps_epi32(half[0]), _mm256_cvtps_epi32(half[1])};
  __builtin_memcpy(&words, found, sizeof words);
  return words;
#else
  return __builtin_convertvector(__builtin_elementwise_roundeven(v), Words);
#endif
}

#endif
