// Quantized convolution for AVX2: products of u8 and s8 summed in 16-bit lanes for as long as the compiler has proved it safe.
//
// `vpmaddubsw` adds pairs of products in saturating 16-bit lanes; widening every such sum to 32 bits costs as much as the product. The
// flush schedule (see `prove-accumulators`) lists, per tile and run, after how many steps of four operands the lanes may overflow, so that
// they are widened only then. The proof makes this exact: no pair saturates and no lane sum leaves 16 bits.
#define SYMBOL(name) quantune_##name##_avx2
#define TILE_ROWS 6
#define WIDE_ROWS 3
#include <immintrin.h>

#include "../common.h"
#include "../qconv_params.h"

INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void store(void *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }

INLINE __m256i broadcast(const u8 *p) {
  i32 word;
  __builtin_memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}

// A panel begins with what the sums lack, the schedule has of each group its length and where its lanes start.
INLINE void multiply_rows(const int rows, const u8 *const *operands, const s8 *w, const u8 *schedule, const i32 *segment,
                          const i32 *end_segment, i32 *sums) {
  const u8 *a[TILE_ROWS];
  const __m256i ones = _mm256_set1_epi16(1), start0 = load(w), start1 = load(w + 32);
  for (int i = 0; i < rows; i++) a[i] = operands[i], store(sums + i * 16, start0), store(sums + i * 16 + 8, start1);
  w += 64;
  for (; segment != end_segment; segment += 2) {
    i64 k = segment[0];
    int groups = schedule[0] | schedule[1] << 8;
    for (schedule += 2; groups; groups--, schedule += 65) {
      const i64 end = k + 4 * (i64)*schedule;
      const __m256i bias0 = load(schedule + 1), bias1 = load(schedule + 33);
      __m256i lanes[TILE_ROWS][2];
      for (int i = 0; i < rows; i++) lanes[i][0] = bias0, lanes[i][1] = bias1;
#pragma clang loop unroll(disable)
      do {
        const __m256i w0 = load(w), w1 = load(w + 32);
        for (int i = 0; i < rows; i++) {
          const __m256i x = broadcast(a[i] + k);
          lanes[i][0] = _mm256_add_epi16(lanes[i][0], _mm256_maddubs_epi16(x, w0));
          lanes[i][1] = _mm256_add_epi16(lanes[i][1], _mm256_maddubs_epi16(x, w1));
        }
        k += 4, w += 64;
        PIN(k);
      } while (k != end);
      // Nor may the sums move to registers: LLVM would spill what it kept there, and store it as well (a tenth of the speed).
      __asm__("" : "+r"(sums) : : "memory");
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++) {
          i32 *sum = sums + i * 16 + j * 8;
          store(sum, _mm256_add_epi32(load(sum), _mm256_madd_epi16(lanes[i][j], ones)));
        }
    }
  }
}

// Without a schedule: weights of 8 bits, of which two products may overflow 16 bits. Widened before the product they cannot.
INLINE void multiply_wide(const int rows, const u8 *const *operands, const s8 *w, const i32 *segment, const i32 *end_segment, i32 *sums) {
  __m256i lanes[WIDE_ROWS][4];
  const __m256i start0 = load(w), start1 = load(w + 32);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 4; j++) lanes[i][j] = _mm256_setzero_si256();
  for (w += 64; segment != end_segment; segment += 2) {
#pragma clang loop unroll(disable)
    for (i64 k = segment[0]; k != segment[0] + segment[1]; k += 4, w += 64) {
      __m256i x[WIDE_ROWS];
      for (int i = 0; i < rows; i++) x[i] = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(broadcast(operands[i] + k)));
      for (int j = 0; j < 4; j++) {
        const __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 16 * j)));
        for (int i = 0; i < rows; i++) lanes[i][j] = _mm256_add_epi32(lanes[i][j], _mm256_madd_epi16(x[i], v));
      }
    }
  }
  for (int i = 0; i < rows; i++) {  // two lanes a column; adding neighbours works within 128-bit halves
    const __m256i left = _mm256_permute4x64_epi64(_mm256_hadd_epi32(lanes[i][0], lanes[i][1]), 0xD8);
    const __m256i right = _mm256_permute4x64_epi64(_mm256_hadd_epi32(lanes[i][2], lanes[i][3]), 0xD8);
    store(sums + i * 16, _mm256_add_epi32(start0, left)), store(sums + i * 16 + 8, _mm256_add_epi32(start1, right));
  }
}

SPILLING void multiply_unproved(const u8 *const *operands, const s8 *w, const i32 *segments, const i32 *end, i64 count, i32 *sums) {
  i64 i = 0;
  for (; i + WIDE_ROWS <= count; i += WIDE_ROWS) multiply_wide(WIDE_ROWS, operands + i, w, segments, end, sums + 16 * i);
  for (; i < count; i++) multiply_wide(1, operands + i, w, segments, end, sums + 16 * i);
}

#define ROWS(n)                                                                                                                   \
  OUTLINE void multiply_##n(const u8 *const *a, const s8 *w, const u8 *s, const i32 *g, const i32 *e, i32 *sums) {                       \
    multiply_rows(n, a, w, s, g, e, sums);                                                                                \
  }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)

INLINE void multiply_tile(const u8 *const *operands, const s8 *weights, const u8 *schedule, const i32 *segments, const i32 *end,
                          i64 count, i32 *sums) {
  if (!schedule) return multiply_unproved(operands, weights, segments, end, count, sums);
  switch (count) {
    case 6: multiply_6(operands, weights, schedule, segments, end, sums); break;
    case 5: multiply_5(operands, weights, schedule, segments, end, sums); break;
    case 4: multiply_4(operands, weights, schedule, segments, end, sums); break;
    case 3: multiply_3(operands, weights, schedule, segments, end, sums); break;
    case 2: multiply_2(operands, weights, schedule, segments, end, sums); break;
    default: multiply_1(operands, weights, schedule, segments, end, sums);
  }
}

#include "../store_tile_avx2.h"
#include "../qconv_driver.h"
