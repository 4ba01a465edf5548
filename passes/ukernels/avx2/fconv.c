// f32 convolution for AVX2 and FMA: six rows by two registers of columns fill the sixteen registers, with two of weights and two of
// operands.
#define SYMBOL(name) quantune_##name##_avx2
#define TILE_ROWS 6
#define TILE_COLUMNS 16
#define ELEMENT float
#define BLOCK 32
#include <immintrin.h>

#include "../common.h"
#include "../fconv_tile.h"

// Columns beyond the result's are masked away, so that nothing beyond the tensors is touched.
INLINE __m256i mask_of(i64 columns) {
  const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((i32)columns), places);
}

// A function of its own: inside the product it makes LLVM spill every sum.
OUTLINE void finish(const Tile *t, const int rows, const float *sums) {
  // The bounds come first: of a NaN and a number these instructions give the second, and a NaN stays one.
  const __m256 low = _mm256_set1_ps(t->low), high = _mm256_set1_ps(t->high);
  const __m256i masks[2] = {mask_of(t->columns), mask_of(t->columns - 8)};
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < 2; j++) {
      __m256 v = _mm256_loadu_ps(sums + i * TILE_COLUMNS + 8 * j);
      if (t->residual) v = _mm256_add_ps(v, _mm256_maskload_ps((const float *)t->residual[i] + t->channel / 4 + 8 * j, masks[j]));
      _mm256_maskstore_ps((float *)t->out[i] + t->channel / 4 + 8 * j, masks[j], _mm256_min_ps(high, _mm256_max_ps(low, v)));
    }
  }
}

INLINE void multiply_rows(const Tile *t, const int rows) {
  const u8 *a[TILE_ROWS];
  __m256 sums[TILE_ROWS][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    const float *start = t->start + i * t->start_step;
    a[i] = t->operands[i] + t->operand, sums[i][0] = _mm256_loadu_ps(start), sums[i][1] = _mm256_loadu_ps(start + 8);
  }
  const float *w = t->weights;
  const u8 *soon = t->soon;
  const i64 soon_step = t->soon_step;
  for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
    i64 k = segment[0];
    const i64 last = k + segment[1];
#pragma clang loop unroll(disable)
    do {
      const __m256 left = _mm256_loadu_ps(w), right = _mm256_loadu_ps(w + 8);
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++) {
        const __m256 x = _mm256_broadcast_ss((const float *)(a[i] + k));
        sums[i][0] = _mm256_fmadd_ps(x, left, sums[i][0]);
        sums[i][1] = _mm256_fmadd_ps(x, right, sums[i][1]);
      }
      _mm_prefetch(soon, _MM_HINT_T1);
      k += 4, w += TILE_COLUMNS, soon += soon_step;
      PIN(k);
    } while (k != last);
  }
  float buffer[TILE_ROWS * TILE_COLUMNS];
  float *found = t->sums ? t->sums : buffer;
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    _mm256_storeu_ps(found + i * TILE_COLUMNS, sums[i][0]);
    _mm256_storeu_ps(found + i * TILE_COLUMNS + 8, sums[i][1]);
  }
  if (!t->sums) finish(t, rows, found);
}

#define ROWS(n) \
  OUTLINE void multiply_##n(const Tile *t) { multiply_rows(t, n); }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)

INLINE void multiply_tile(const Tile *t, i64 count) {
  switch (count) {
    case 1: multiply_1(t); break;
    case 2: multiply_2(t); break;
    case 3: multiply_3(t); break;
    case 4: multiply_4(t); break;
    case 5: multiply_5(t); break;
    default: multiply_6(t);
  }
}

#include "../fconv_driver.h"
