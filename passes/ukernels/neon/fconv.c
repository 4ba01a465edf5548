// f32 convolution for 64-bit Arm: eight rows by two registers of columns; with four operands of every row and a step's weights they fill
// the thirty-two registers.
#define SYMBOL(name) quantune_##name##_neon
#define TILE_ROWS 8
#define TILE_COLUMNS 8
#define ELEMENT float
#define BLOCK 16
#include <arm_neon.h>

#include "../common.h"
#include "../fconv_finish.h"

// The product takes its operand from a lane, whose number must be a constant.
#define STEP(lane)                                                                      \
  do {                                                                                  \
    const float32x4_t left = vld1q_f32(w), right = vld1q_f32(w + 4);                    \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) {                 \
      sums[i][0] = vfmaq_laneq_f32(sums[i][0], left, x[i], lane);                       \
      sums[i][1] = vfmaq_laneq_f32(sums[i][1], right, x[i], lane);                      \
    }                                                                                   \
    w += TILE_COLUMNS;                                                                  \
  } while (0)

INLINE void multiply_rows(const Tile *t, const int rows, i64 count) {
  float32x4_t sums[TILE_ROWS][2], x[TILE_ROWS];
  const u8 *a[TILE_ROWS];
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) {
    const float *start = t->start + i * t->start_step;
    sums[i][0] = vld1q_f32(start), sums[i][1] = vld1q_f32(start + 4);
  }
  const float *w = t->weights;
  for (const i32 *segment = t->segments; segment != t->end; segment += 2) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) a[i] = t->operands[i] + t->operand + segment[0];
    i64 left_over = segment[1];
#pragma clang loop unroll(disable)
    for (; left_over >= 16; left_over -= 16) {
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++, a[i - 1] += 16) x[i] = vld1q_f32((const float *)a[i]);
      STEP(0);
      STEP(1);
      STEP(2);
      STEP(3);
    }
#pragma clang loop unroll(disable)
    for (; left_over; left_over -= 4) {
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; i++, a[i - 1] += 4) x[i] = vld1q_dup_f32((const float *)a[i]);
      STEP(0);
    }
  }
  float buffer[TILE_ROWS * TILE_COLUMNS];
  float *found = t->sums ? t->sums : buffer;
#pragma clang loop unroll(full)
  for (int i = 0; i < rows; i++) vst1q_f32(found + i * TILE_COLUMNS, sums[i][0]), vst1q_f32(found + i * TILE_COLUMNS + 4, sums[i][1]);
  if (!t->sums) finish(t, count, found);
}

#define ROWS(n) \
  OUTLINE void multiply_##n(const Tile *t, i64 count) { multiply_rows(t, n, count); }
ROWS(1) ROWS(2) ROWS(4) ROWS(6) ROWS(8)

INLINE void multiply_tile(const Tile *t, i64 count) {
  if (count > 6)
    multiply_8(t, count);
  else if (count > 4)
    multiply_6(t, count);
  else if (count > 2)
    multiply_4(t, count);
  else if (count == 2)
    multiply_2(t, count);
  else
    multiply_1(t, count);
}

#include "../fconv_driver.h"
