// Quantized convolution for AVX-512 with VNNI: `vpdpbusd` multiplies u8 by s8 and adds four products to a 32-bit lane, exactly.
//
// One register holds a tile's 16 columns; twelve rows keep both multipliers busy (latency 5, two a cycle) and still leave registers.
// No flush schedule is needed, and no narrower weights: plain int8 is the fastest here.
#define SYMBOL(name) quantune_##name##_avx512vnni
#define TILE_ROWS 12
#include <immintrin.h>

#include "../common.h"
#include "../qconv_params.h"

INLINE __m512i broadcast(const u8 *p) {
  i32 word;
  __builtin_memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}

INLINE void multiply_rows(const int rows, const u8 *const *operands, const s8 *w, const i32 *segment, const i32 *end, i32 *sums) {
  const u8 *a[TILE_ROWS];
  __m512i lanes[TILE_ROWS];
  for (int i = 0; i < rows; i++) a[i] = operands[i], lanes[i] = _mm512_setzero_si512();
  for (; segment != end; segment += 2) {
    i64 k = segment[0];
    const i64 last = k + segment[1];
#pragma clang loop unroll(disable)
    while (k != last) {
      const __m512i v = _mm512_loadu_si512(w);
      for (int i = 0; i < rows; i++) lanes[i] = _mm512_dpbusd_epi32(lanes[i], broadcast(a[i] + k), v);
      k += 4, w += 64;
      PIN(k);
    }
  }
  for (int i = 0; i < rows; i++) _mm512_storeu_si512(sums + i * 16, lanes[i]);
}

#define ROWS(n)                                                                                                                   \
  OUTLINE void multiply_##n(const u8 *const *a, const s8 *w, const i32 *segment, const i32 *end, i32 *sums) {                         \
    multiply_rows(n, a, w, segment, end, sums);                                                                            \
  }
ROWS(1) ROWS(2) ROWS(4) ROWS(8) ROWS(12)

// Rows that a smaller count leaves over are computed from the last valid operands: cheaper than a function for every count.
INLINE void multiply_tile(const u8 *const *operands, const s8 *weights, const u8 *schedule, const i32 *segments, const i32 *end,
                          i64 count, i32 *sums) {
  (void)schedule;
  const u8 *filled[TILE_ROWS];
  for (i64 i = 0; i < TILE_ROWS; i++) filled[i] = operands[i < count ? i : count - 1];
  if (count > 8)
    multiply_12(filled, weights, segments, end, sums);
  else if (count > 4)
    multiply_8(filled, weights, segments, end, sums);
  else if (count > 2)
    multiply_4(filled, weights, segments, end, sums);
  else if (count == 2)
    multiply_2(filled, weights, segments, end, sums);
  else
    multiply_1(filled, weights, segments, end, sums);
}

#include "store_tile.h"
#include "../qconv_driver.h"
