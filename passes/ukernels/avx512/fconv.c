// f32 convolution for AVX-512: fourteen rows by two registers of columns keep both multipliers busy, and are the whole of the registers
// together with two of weights and two of operands. Images of 7, 14, 28, 56, 112 pixels divide by fourteen, 13x13 by thirteen. Seven rows
// by the four registers of two panels take a sixth fewer instructions, which counts where another thread shares the core.
#define SYMBOL(name) quantune_##name##_avx512
#define TILE_ROWS 14
#define TILE_COLUMNS 32
#define PAIR_ROWS 7
#define ELEMENT float
#define BLOCK 64
#include <immintrin.h>

#include "../common.h"
#include "../fconv_tile.h"

typedef float Unaligned __attribute__((aligned(1), may_alias));

// Columns beyond the result's are masked away, so that nothing beyond the tensors is touched.
INLINE __mmask16 mask_of(i64 columns) { return (__mmask16)(columns >= 16 ? 0xFFFF : (1u << columns) - 1); }

// `wide`: registers of columns, 4 of a pair, or 1 where the panel's second would hold nothing.
INLINE void finish(const Tile *t, const int rows, const i64 count, const int wide, const int with_residual, __m512 sums[][4]) {
  // The bounds come first: of a NaN and a number these instructions give the second, and a NaN stays one.
  const __m512 low = _mm512_set1_ps(t->low), high = _mm512_set1_ps(t->high);
  const __mmask16 last = mask_of(t->columns - 16 * (wide - 1));
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    for (int j = 0; j < wide && i < count; j++) {
      const __mmask16 mask = j == wide - 1 ? last : 0xFFFF;
      __m512 v = sums[i][j];
      if (with_residual) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, t->residual[i] + t->channel + 64 * j));
      _mm512_mask_storeu_ps(t->out[i] + t->channel + 64 * j, mask, _mm512_min_ps(high, _mm512_max_ps(low, v)));
    }
  }
}

// One operand of every row, with two panels: 28 sums leave four registers, so the last weights come from L1 for every row. LLVM would load
// a row's operand before it is done with the one before, and spill a sum.
INLINE void add_pair(const int rows, const u8 *const *a, i64 k, const float *w, const float *other, __m512 sums[][4]) {
  const __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 16), w2 = _mm512_loadu_ps(other);
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    __m512 x;
    __asm__("vbroadcastss %[operand], %[x]\n\t"
            "vfmadd231ps %[w0], %[x], %[s0]\n\t"
            "vfmadd231ps %[w1], %[x], %[s1]\n\t"
            "vfmadd231ps %[w2], %[x], %[s2]\n\t"
            "vfmadd231ps %[w3], %[x], %[s3]"
            : [s0] "+v"(sums[i][0]), [s1] "+v"(sums[i][1]), [s2] "+v"(sums[i][2]), [s3] "+v"(sums[i][3]), [x] "=&v"(x)
            : [operand] "m"(*(const Unaligned *)(a[i] + k)), [w0] "v"(w0), [w1] "v"(w1), [w2] "v"(w2),
              [w3] "m"(*(const __m512_u *)(other + 16)));
  }
}

// One operand of every row; `other`: the weights in a pair's second panel.
INLINE void add_products(const int rows, const int wide, const u8 *const *a, i64 k, const float *w, const float *other,
                         __m512 sums[][4]) {
  if (wide == 4) return add_pair(rows, a, k, w, other, sums);
  const __m512 left = _mm512_loadu_ps(w), right = wide > 1 ? _mm512_loadu_ps(w + 16) : left;
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    const __m512 x = _mm512_set1_ps(*(const Unaligned *)(a[i] + k));
    sums[i][0] = _mm512_fmadd_ps(x, left, sums[i][0]);
    if (wide > 1) sums[i][1] = _mm512_fmadd_ps(x, right, sums[i][1]);
  }
}

// Lines of weights that a step fetches, each from another place: memory answers for several pages faster than for one after the other. Of
// few rows weights are all that matters. A pair has two places.
#define LINES(rows, wide) ((rows) <= 4 && (wide) < 4 ? 8 : 2)

// Four operands at a time: every other instruction may take a multiplier's port. Meanwhile what is wanted soon comes nearer.
INLINE void add_four(const int rows, const int wide, const u8 *const *a, i64 k, const float *w, const float *other, const u8 *soon,
                     i64 apart, __m512 sums[][4]) {
#pragma clang loop unroll(full)
  for (int i = 0; i < LINES(rows, wide); i++) _mm_prefetch(soon + i * apart, _MM_HINT_T1);
#pragma clang loop unroll(full)
  for (int i = 0; i < 4 * TILE_COLUMNS; i += TILE_COLUMNS, k += 4)
    add_products(rows, wide, a, k, w + i, other + i, sums);
}

// Results are fetched before they are written: stores alone would wait for their lines one after the other. So would reading what is added.
INLINE void fetch_results(const Tile *t, int row, const int wide) {
  for (int j = 0; j < wide; j++) {
    _mm_prefetch(t->out[row] + t->channel + 64 * j, _MM_HINT_T0);
    if (t->residual) _mm_prefetch(t->residual[row] + t->channel + 64 * j, _MM_HINT_T0);
  }
}

// The first steps, which fetch the results of `some` rows each: all at once would keep operands waiting. Returns how many steps.
INLINE int begin_rows(const Tile *t, const int rows, const int wide, const int some, const u8 *const *a, i64 apart, i64 stride,
                      __m512 sums[][4]) {
  i64 k = t->segments[0];
  int step = 0;
#pragma clang loop unroll(disable)
  for (int row = 0; row < rows; k += 16, step++) {
    for (const int last = row + some < rows ? row + some : rows; row < last; row++) fetch_results(t, row, wide);
    const float *w = t->weights + step * 4 * TILE_COLUMNS, *other = w + t->panel;
    PIN(k);
    if (wide == 4) PIN(other);
    add_four(rows, wide, a, k, w, other, t->soon + step * stride, apart, sums);
  }
  return step;
}

INLINE void multiply_rows(const Tile *t, const int rows, const i64 count, const int wide) {
  const u8 *a[TILE_ROWS];
  __m512 sums[TILE_ROWS][4];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    a[i] = t->operands[i] + t->operand;
    for (int j = 0; j < wide; j++) sums[i][j] = _mm512_loadu_ps(t->start + i * t->start_step + 16 * j);
  }
  const i64 apart = t->soon_bytes / LINES(rows, wide), stride = 4 * t->soon_step / LINES(rows, wide);
  // Sums that are left write no results yet. Deep layers have a constant: without it they take up to 3 % longer.
  const int steps = t->segments[1] / 16;
  int done = 0;
  if (!t->sums && steps >= rows)
    done = begin_rows(t, rows, wide, 1, a, apart, stride, sums);
  else if (!t->sums && steps)
    done = begin_rows(t, rows, wide, (rows + steps - 1) / steps, a, apart, stride, sums);
  const float *w = t->weights + done * 4 * TILE_COLUMNS, *other = w + t->panel;
  const u8 *soon = t->soon + done * stride;
  i64 begin = 16 * done;
  for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
    i64 k = segment[0] + begin;
    const i64 last = segment[0] + segment[1];
    begin = 0;
#pragma clang loop unroll(disable)
    for (; k + 16 <= last; k += 16, w += 4 * TILE_COLUMNS, other += 4 * TILE_COLUMNS) {
      PIN(k);
      if (wide == 4) PIN(other);
      add_four(rows, wide, a, k, w, other, soon, apart, sums);
      soon += stride;
    }
#pragma clang loop unroll(disable)
    for (; k != last; k += 4, w += TILE_COLUMNS, other += TILE_COLUMNS) {
      PIN(k);
      add_products(rows, wide, a, k, w, other, sums);
    }
  }
  if (t->sums) {
    const int row = wide == 4 ? 2 * TILE_COLUMNS : TILE_COLUMNS;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < wide; j++) _mm512_storeu_ps(t->sums + i * row + 16 * j, sums[i][j]);
    return;
  }
  t->residual ? finish(t, rows, count, wide, 1, sums) : finish(t, rows, count, wide, 0, sums);
}

// Counts that have no function of their own take that of the next larger one.
#define ALL_ROWS(n)                                                           \
  OUTLINE void multiply_##n##x2(const Tile *t) { multiply_rows(t, n, n, 2); } \
  OUTLINE void multiply_##n##x1(const Tile *t) { multiply_rows(t, n, n, 1); }
#define SOME_ROWS(n)                                                                           \
  OUTLINE void multiply_##n##x2(const Tile *t, i64 count) { multiply_rows(t, n, count, 2); } \
  OUTLINE void multiply_##n##x1(const Tile *t, i64 count) { multiply_rows(t, n, count, 1); }
#define PAIR(n)   OUTLINE void multiply_pair_##n(const Tile *t) { multiply_rows(t, n, n, 4); }
ALL_ROWS(1) ALL_ROWS(2) SOME_ROWS(4) SOME_ROWS(7) SOME_ROWS(10) SOME_ROWS(12) ALL_ROWS(13) ALL_ROWS(14)
PAIR(4) PAIR(5) PAIR(6) PAIR(7)
#define DO_ROWS(n, ...) t->columns > 16 ? multiply_##n##x2(__VA_ARGS__) : multiply_##n##x1(__VA_ARGS__)

INLINE void multiply_tile(const Tile *t, i64 count) {
  if (count > 13)
    DO_ROWS(14, t);
  else if (count == 13)
    DO_ROWS(13, t);
  else if (count > 10)
    DO_ROWS(12, t, count);
  else if (count > 7)
    DO_ROWS(10, t, count);
  else if (count > 4)
    DO_ROWS(7, t, count);
  else if (count > 2)
    DO_ROWS(4, t, count);
  else if (count == 2)
    DO_ROWS(2, t);
  else
    DO_ROWS(1, t);
}

// Rows are shared out evenly, so that more than seven come at least four at a time.
INLINE void multiply_pair(const Tile *t, i64 count) {
  if (count == 7)
    multiply_pair_7(t);
  else if (count == 6)
    multiply_pair_6(t);
  else if (count == 5)
    multiply_pair_5(t);
  else
    multiply_pair_4(t);
}

#include "../fconv_driver.h"
