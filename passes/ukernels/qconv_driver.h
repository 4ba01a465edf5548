// The loops around a convolution's tile: which rows, which columns, where operands and results lie. An instruction set's qconv.c defines
//   TILE_ROWS                       rows of a tile; a tile has 16 columns
//   multiply_tile(operands, weights, schedule, runs, run_bytes, run_stride, count, sums)
//                                   exact sums of `count` rows, i32[TILE_ROWS][16]
//   store_tile(sums, scales, finish, residual, out, columns, count)
//                                   the epilogue of `columns` of these rows
// and then includes this file. The epilogue is a function of its own: fused into the product it makes LLVM spill every accumulator.
#include "common.h"
#include "finish.h"
#include "qconv_params.h"

// The most rows a workgroup may do.
#define MOST_ROWS 192
// Operands copied side by side live on the stack, whose limit in IREE's executables is 32 KiB.
#define GATHER_BYTES 12288

typedef struct {
  const u8 *input;
  const u8 *residual;  // u8 or null
  u8 *out;
  const i32 *params;
  Finish finish;
  i64 first;
  i32 pixels[MOST_ROWS];  // byte offset of each of the workgroup's output pixels in the input
  const u8 *operands[TILE_ROWS];
  u8 gathered[GATHER_BYTES] __attribute__((aligned(64)));
} Convolution;

INLINE void find_pixels(Convolution *c, i64 count) {
  const i32 *p = c->params;
  i64 y = c->first / p[QCONV_out_width], x = c->first % p[QCONV_out_width];
  for (i64 i = 0; i < count; i++) {
    c->pixels[i] = (i32)(y * p[QCONV_step_y] + x * p[QCONV_step_x]);
    if (++x == p[QCONV_out_width]) x = 0, y++;
  }
}

// Points `operands` at the `count` rows from `row` on; gathers them first where runs are no multiple of 4 bytes.
INLINE void set_operands(Convolution *c, i64 row, i64 count) {
  const i32 *p = c->params;
  for (i64 i = 0; i < count; i++) {
    const u8 *from = c->input + c->pixels[row - c->first + i];
    if (!p[QCONV_gathered]) {
      c->operands[i] = from;
      continue;
    }
    u8 *to = c->gathered + i * p[QCONV_depth];
    c->operands[i] = to;
    for (i64 run = 0; run < p[QCONV_runs]; run++, to += p[QCONV_run_bytes])
      copy_bytes(to, from + run * p[QCONV_run_stride], p[QCONV_run_bytes]);
    for (u8 *end = c->gathered + (i + 1) * p[QCONV_depth]; to < end; to++) *(volatile u8 *)to = 0;
  }
}

INLINE void do_tile(Convolution *c, i64 tile, i64 row, i64 count) {
  const i32 *p = c->params;
  const u8 *blob = (const u8 *)p;
  const i64 size = p[QCONV_out_f32] ? 4 : 1, filters = p[QCONV_filters];
  const u8 *schedule = blob + ((const i32 *)(blob + p[QCONV_schedule_offset]))[tile];
  const s8 *weights = (const s8 *)blob + p[QCONV_weight_offset] + tile * 16 * (i64)p[QCONV_depth];
  const float *scales = (const float *)(blob + p[QCONV_scale_offset]) + tile * 32;
  const int joined = p[QCONV_gathered];
  i32 sums[TILE_ROWS * 16] __attribute__((aligned(64)));
  multiply_tile(c->operands, weights, schedule, joined ? 1 : p[QCONV_runs], joined ? p[QCONV_depth] : p[QCONV_run_bytes],
                p[QCONV_run_stride], count, sums);
  const u8 *residual = c->residual ? c->residual + row * filters + tile * 16 : 0;
  store_tile(sums, scales, &c->finish, residual, c->out + (row * filters + tile * 16) * size, smaller(16, filters - tile * 16), count);
}

INLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  Convolution c;
  c.input = input, c.residual = residual, c.out = out, c.params = (const i32 *)blob;
  const i32 *p = c.params;
  c.finish = (Finish){as_f32(p[QCONV_residual_multiplier]), as_f32(p[QCONV_low]), as_f32(p[QCONV_high]), p[QCONV_filters],
                      p[QCONV_out_f32]};
  const i64 first = x * p[QCONV_block_rows], last = smaller(first + p[QCONV_block_rows], p[QCONV_rows]);
  c.first = first;
  find_pixels(&c, last - first);
  const i64 begin = y * p[QCONV_block_tiles], end = smaller(begin + p[QCONV_block_tiles], p[QCONV_tiles]);
  // A panel that stays in L1 together with a few rows is walked for these rows; a larger one is kept and the rows pass by.
  const i64 outer = p[QCONV_tiles_inner] ? 1 : end - begin;
  for (i64 t = 0; t < outer; t++) {
    for (i64 row = first; row < last; row += TILE_ROWS) {
      const i64 count = smaller(TILE_ROWS, last - row);
      set_operands(&c, row, count);
      if (p[QCONV_tiles_inner])
        for (i64 tile = begin; tile < end; tile++) do_tile(&c, tile, row, count);
      else
        do_tile(&c, begin + t, row, count);
    }
  }
}

// IREE passes bare pointers that do not include a binding's offset: each comes as an index of its own, in elements.
void SYMBOL(qconv)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  convolve(input + input_offset, 0, blob + blob_offset, out + out_offset, x, y);
}

void SYMBOL(qconv_residual)(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 input_offset, i64 residual_offset,
                            i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  convolve(input + input_offset, residual + residual_offset, blob + blob_offset, out + out_offset, x, y);
}
