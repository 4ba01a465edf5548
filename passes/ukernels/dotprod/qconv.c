// Quantized convolution for 64-bit Arm with dot products: `sdot` adds four products of s8 to a 32-bit lane, exactly.
//
// There is no product of mixed signs, so 128 is taken from the activations: panels begin with what the sums lack, 128 times the sum of
// a column's weights. Sixteen accumulators, four rows of sixteen operands and a step's weights stay in registers.
#define SYMBOL(name) quantune_##name##_dotprod
#define TILE_ROWS 4
#include <arm_neon.h>

#include "../common.h"
#include "../qconv_params.h"

// One step of four operands, the lane's of x; the index must be a constant.
#define STEP(lane)                                                                                      \
  for (int j = 0; j < 4; j++) {                                                                         \
    const int8x16_t v = vld1q_s8(w + 16 * j);                                                           \
    for (int i = 0; i < rows; i++) lanes[i][j] = vdotq_laneq_s32(lanes[i][j], v, x[i], lane);           \
  }                                                                                                     \
  w += 64;

INLINE void multiply_rows(const int rows, const u8 *const *operands, const s8 *panel, const i32 *segment, const i32 *end, i32 *sums) {
  const uint8x16_t flip = vdupq_n_u8(128);
  const s8 *w = panel + 64;
  int32x4_t lanes[TILE_ROWS][4];
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 4; j++) lanes[i][j] = vld1q_s32((const i32 *)panel + 4 * j);
  for (; segment != end; segment += 2) {
    i64 k = segment[0];
    const i64 last = k + segment[1];
    int8x16_t x[TILE_ROWS];
    for (; k + 16 <= last; k += 16) {
      for (int i = 0; i < rows; i++) x[i] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(operands[i] + k), flip));
      STEP(0) STEP(1) STEP(2) STEP(3)
    }
    for (; k != last; k += 4) {
      for (int i = 0; i < rows; i++) {
        uint32_t word;
        __builtin_memcpy(&word, operands[i] + k, 4);
        x[i] = vreinterpretq_s8_u32(vdupq_n_u32(word ^ 0x80808080));
      }
      STEP(0)
    }
  }
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 4; j++) vst1q_s32(sums + i * 16 + 4 * j, lanes[i][j]);
}

#define ROWS(n)                                                                                                \
  OUTLINE void multiply_##n(const u8 *const *a, const s8 *w, const i32 *segment, const i32 *end, i32 *sums) {  \
    multiply_rows(n, a, w, segment, end, sums);                                                                \
  }
ROWS(1) ROWS(2) ROWS(3) ROWS(4)

INLINE void multiply_tile(const u8 *const *operands, const s8 *panel, const u8 *schedule, const i32 *segments, const i32 *end, i64 count,
                          i32 *sums) {
  (void)schedule;
  switch (count) {
    case 4: multiply_4(operands, panel, segments, end, sums); break;
    case 3: multiply_3(operands, panel, segments, end, sums); break;
    case 2: multiply_2(operands, panel, segments, end, sums); break;
    default: multiply_1(operands, panel, segments, end, sums);
  }
}

#include "../store_tile_neon.h"
#include "../qconv_driver.h"
