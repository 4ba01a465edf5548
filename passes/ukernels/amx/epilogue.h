// The epilogue of sums that wait, a strip at a time.
#ifndef QUANTUNE_AMX_EPILOGUE_H_
#define QUANTUNE_AMX_EPILOGUE_H_

#include "../store_tile_avx512.h"
#include "convolution.h"

// Two rows of two tiles, u8: packed as store_four packs four rows. All values are in the range of i32, so they are clamped as bytes, and not
// at all where all bytes may come out.
INLINE void store_square(const int clamped, const i32 *left, const i32 *right, const __m512 *scales, const Finish *f, const u8 *first,
                         const u8 *second, u8 *out, u8 *below) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i a = _mm512_cvtps_epi32(scaled(left, scales[0], scales[1], first, f, 0xFFFF));
  const __m512i b = _mm512_cvtps_epi32(scaled(right, scales[2], scales[3], first ? first + 16 : 0, f, 0xFFFF));
  const __m512i c = _mm512_cvtps_epi32(scaled(left + 16, scales[0], scales[1], second, f, 0xFFFF));
  const __m512i d = _mm512_cvtps_epi32(scaled(right + 16, scales[2], scales[3], second ? second + 16 : 0, f, 0xFFFF));
  const __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  __m512i v = _mm512_permutexvar_epi32(order, bytes);
  if (clamped) {
    v = _mm512_max_epu8(v, _mm512_set1_epi8((char)(u8)f->low));
    v = _mm512_min_epu8(v, _mm512_set1_epi8((char)(u8)f->high));
  }
  _mm256_storeu_si256((__m256i *)out, _mm512_castsi512_si256(v));
  _mm256_storeu_si256((__m256i *)below, _mm512_extracti64x4_epi64(v, 1));
}

INLINE void store_squares(const int clamped, const i32 (*sums)[ROWS * 16], const float *scales, const Finish *finish, const u8 *residual,
                          u8 *out, const Strip *s, i64 rows) {
  Finish f = *finish;
  f.residual_f32 = 0;
  const __m512 vectors[4] = {_mm512_loadu_ps(scales), _mm512_loadu_ps(scales + 16), _mm512_loadu_ps(scales + 32), _mm512_loadu_ps(scales + 48)};
  u8 nowhere[32];
  for (i64 i = 0; i < rows; i += 2) {
    u8 *to = s->outs[i] < 0 ? nowhere : out + s->outs[i], *below = s->outs[i + 1] < 0 ? nowhere : out + s->outs[i + 1];
    store_square(clamped, sums[0] + i * 16, sums[1] + i * 16, vectors, &f, residual ? residual + s->residuals[i] : 0,
                 residual ? residual + s->residuals[i + 1] : 0, to, below);
  }
}

INLINE void store_strip(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, const Strip *s, i64 rows,
                        __mmask16 columns) {
  u8 nowhere[64];
  for (i64 first = 0; first < rows; first += 4) {
    const i32 *from[4];
    const u8 *other[4];
    u8 *to[4];
    for (i64 i = 0; i < 4; i++) {
      from[i] = sums + (first + i) * 16, other[i] = residual + s->residuals[first + i];
      to[i] = s->outs[first + i] < 0 ? nowhere : out + s->outs[first + i];
    }
    if (f->out_f32)
      for (i64 i = 0; i < 4; i++) store_f32(from[i], scales, f, residual ? other[i] : 0, to[i], columns);
    else
      store_four(from, scales, f, residual ? other : 0, to, columns);
  }
}

OUTLINE void finish_strip(Convolution *c) {
  const i32 *p = c->params;
  Pending *d = &c->pending;
  const Strip *s = &d->strips[d->next];
  const i32(*sums)[ROWS * 16] = &d->sums[2 * d->next++];
  const i64 out_size = p[QCONV_out_f32] ? 4 : 1, residual_size = p[QCONV_residual_f32] ? 4 : 1, rows = p[QCONV_tile_rows];
  u8 *out = c->out + d->channel * out_size;
  const u8 *residual = c->residual ? c->residual + d->channel * residual_size : 0;
  if (d->columns > 1 && d->filters >= 32 && p[QCONV_bounded]) {
    const Finish *f = &c->finish;
    if (f->low > 0 || f->high < 255)
      residual ? store_squares(1, sums, d->scales, f, residual, out, s, rows) : store_squares(1, sums, d->scales, f, 0, out, s, rows);
    else
      residual ? store_squares(0, sums, d->scales, f, residual, out, s, rows) : store_squares(0, sums, d->scales, f, 0, out, s, rows);
    return;
  }
  for (i64 j = 0; j < d->columns; j++) {
    const __mmask16 mask = (__mmask16)((1u << smaller(16, d->filters - 16 * j)) - 1);
    const u8 *other = residual ? residual + 16 * j * residual_size : 0;
    store_strip(sums[j], d->scales + 32 * j, &c->finish, other, out + 16 * j * out_size, s, rows, mask);
  }
}

INLINE void finish_rest(Convolution *c) {
  while (c->pending.next < c->pending.count) finish_strip(c);
}

// Stores the sums that a register still has of the last product.
#define STORE_SUMS(d, tile) \
  if ((tile) < (d)->tiles) _tile_stored(tile, (d)->sums[0] + (tile) * (d)->apart, 64)

INLINE void finish_last(Convolution *c) {
  Pending *d = &c->pending;
  STORE_SUMS(d, 0);
  STORE_SUMS(d, 1);
  STORE_SUMS(d, 2);
  STORE_SUMS(d, 3);
  finish_rest(c);
}

#endif
