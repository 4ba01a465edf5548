// The epilogue with AVX-512: four rows of sixteen columns at a time; see store_tile.h for the arithmetic.
#ifndef QUANTUNE_STORE_TILE_AVX512_H_
#define QUANTUNE_STORE_TILE_AVX512_H_

#include <immintrin.h>

#include "common.h"
#include "finish.h"

INLINE __m512 scaled(const i32 *sums, __m512 scale, __m512 offset, const u8 *residual, const Finish *f, __mmask16 columns) {
  __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(sums)), scale, offset);
  if (residual) {
    const __m512 r = f->residual_f32 ? _mm512_maskz_loadu_ps(columns, residual)
                                     : _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(columns, residual)));
    v = _mm512_fmadd_ps(r, _mm512_set1_ps(f->residual_multiplier), v);
  }
  return v;
}

// Clamped from above only: what lies below the range of i32 converts to the least i32, so u8 results are clamped from below as bytes.
INLINE __m512 sixteen(const i32 *sums, __m512 scale, __m512 offset, const u8 *residual, const Finish *f, __mmask16 columns) {
  return _mm512_min_ps(scaled(sums, scale, offset, residual, f, columns), _mm512_set1_ps(f->high));
}

// Four rows, u8. Packing works within 128-bit quarters: quarter q of the packed rows holds columns 4q..4q+3 of each; `order` transposes that.
INLINE void store_four(const i32 *const *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out,
                       __mmask16 columns) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512 scale = _mm512_loadu_ps(scales), offset = _mm512_loadu_ps(scales + 16);
  __m512i row[4];
  for (int i = 0; i < 4; i++) row[i] = _mm512_cvtps_epi32(sixteen(sums[i], scale, offset, residual ? residual[i] : 0, f, columns));
  const __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(row[0], row[1]), _mm512_packs_epi32(row[2], row[3]));
  const __m512i v = _mm512_max_epu8(_mm512_permutexvar_epi32(order, bytes), _mm512_set1_epi8((char)(u8)f->low));
  _mm_mask_storeu_epi8(out[0], columns, _mm512_castsi512_si128(v));
  _mm_mask_storeu_epi8(out[1], columns, _mm512_extracti32x4_epi32(v, 1));
  _mm_mask_storeu_epi8(out[2], columns, _mm512_extracti32x4_epi32(v, 2));
  _mm_mask_storeu_epi8(out[3], columns, _mm512_extracti32x4_epi32(v, 3));
}

INLINE void store_f32(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, __mmask16 columns) {
  const __m512 v = sixteen(sums, _mm512_loadu_ps(scales), _mm512_loadu_ps(scales + 16), residual, f, columns);
  _mm512_mask_storeu_ps(out, columns, _mm512_max_ps(v, _mm512_set1_ps(f->low)));
}

#endif
