// Quantized convolution for 64-bit Arm without dot products: `smull`/`smlal` sum in 16-bit lanes for as long as the compiler has proved
// it safe, then `sadalp` widens them.
//
// NEON multiplies only operands of one sign, so 128 is taken from the activations: panels begin with what the sums lack, 128 times the
// sum of a column's weights. A lane takes one product a step of four operands; of 8-bit weights any two products fit.
#define SYMBOL(name) quantune_##name##_neon
#define TILE_ROWS 3
#include <arm_neon.h>

#include "../common.h"
#include "../qconv_params.h"

// Four operands of a row, less 128. The integer unit flips their signs, beside the multiplier.
INLINE uint32_t word_at(const u8 *p) {
  uint32_t word;
  __builtin_memcpy(&word, p, 4);
  return word ^ 0x80808080;
}

// One step. The next one's operands are on their way meanwhile, because small cores wait for what is not there yet.
#define STEP(product)                                                   \
  {                                                                     \
    int8x8_t v[4];                                                      \
    for (int j = 0; j < 4; j++) v[j] = vld1_s8(w + 8 * j);              \
    k = k < last ? k + 4 : last, w += 64;                               \
    for (int i = 0; i < rows; i++) {                                    \
      const int8x8_t x = vreinterpret_s8_u32(vdup_n_u32(words[i]));     \
      words[i] = word_at(operands[i] + k);                              \
      for (int j = 0; j < 4; j++) lanes[i][j] = product;                \
    }                                                                   \
  }

// Eight columns of the tile: three rows of them, with lanes and sums, are what the registers hold.
INLINE void multiply_half(const int rows, const u8 *const *from, const i32 *start, const s8 *w, const u8 *schedule,
                          const i32 *segment, const i32 *end, i32 *sums) {
  const u8 *operands[TILE_ROWS];
  int32x4_t total[TILE_ROWS][4];
  for (int i = 0; i < rows; i++) {
    operands[i] = from[i];
    for (int j = 0; j < 4; j++) total[i][j] = vdupq_n_s32(0);
  }
  for (; segment != end; segment += 2) {
    i64 k = segment[0];
    const i64 last = k + segment[1] - 4;
    uint32_t words[TILE_ROWS];
    for (int i = 0; i < rows; i++) words[i] = word_at(operands[i] + k);
    int groups = schedule[0] | schedule[1] << 8;
    for (schedule += 2; groups; groups--) {
      int16x8_t lanes[TILE_ROWS][4];
      STEP(vmull_s8(x, v[j]))
#pragma clang loop unroll(disable)
      for (int left = *schedule++ - 1; left; left--) STEP(vmlal_s8(lanes[i][j], x, v[j]))
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < 4; j++) total[i][j] = vpadalq_s16(total[i][j], lanes[i][j]);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 2; j++)
      vst1q_s32(sums + i * 16 + j * 4, vaddq_s32(vld1q_s32(start + j * 4), vpaddq_s32(total[i][2 * j], total[i][2 * j + 1])));
}

#define ROWS(n)                                                                                                                      \
  OUTLINE void multiply_##n(const u8 *const *a, const i32 *start, const s8 *w, const u8 *s, const i32 *g, const i32 *e, i32 *sums) { \
    multiply_half(n, a, start, w, s, g, e, sums);                                                                                    \
  }
ROWS(1) ROWS(2) ROWS(3)

INLINE void multiply_tile(const u8 *const *operands, const s8 *panel, const u8 *schedule, const i32 *segments, const i32 *end, i64 count,
                          i32 *sums) {
  for (i64 j = 0; j < 16; j += 8) {
    const i32 *start = (const i32 *)panel + j;
    const s8 *weights = panel + 64 + 4 * j;
    switch (count) {
      case 3: multiply_3(operands, start, weights, schedule, segments, end, sums + j); break;
      case 2: multiply_2(operands, start, weights, schedule, segments, end, sums + j); break;
      default: multiply_1(operands, start, weights, schedule, segments, end, sums + j);
    }
  }
}

#include "../store_tile_neon.h"
#include "../qconv_driver.h"
