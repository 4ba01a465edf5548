// The loops around a convolution's tile: which rows, which columns, where operands and results lie. An instruction set's qconv.c defines
//   TILE_ROWS                       rows of a tile; a tile has 16 columns
//   multiply_tile(operands, panel, schedule, segments, end, count, sums)
//                                   exact sums of `count` rows, i32[TILE_ROWS][16]; `segments` are (offset, length) up to `end`
//   store_tile(sums, scales, finish, residual, out, columns, count)
//                                   the epilogue of `columns` of these rows; residual and out point at each row's first column
// and then includes this file. The epilogue is a function of its own: fused into the product it makes LLVM spill every accumulator.
#include "common.h"
#include "finish.h"
#include "image.h"
#include "qconv_groups.h"
#include "qconv_panels.h"
#include "qconv_params.h"

// The most rows a workgroup may do.
#define MOST_ROWS 192
// Operands copied side by side live on the stack, whose limit in IREE's executables is 32 KiB.
#define GATHER_BYTES 12288

typedef struct {
  const u8 *input;
  const u8 *residual;  // or null
  u8 *out;
  const i32 *params;
  Finish finish;
  i64 first;                                                       // row of the workgroup
  i32 inputs[MOST_ROWS], outs[MOST_ROWS], residuals[MOST_ROWS];    // byte offsets of the workgroup's pixels
  const u8 *operands[TILE_ROWS];
  u8 gathered[GATHER_BYTES] __attribute__((aligned(64)));
  const s8 *panels;  // of the tiles from first_tile on
  i64 panel_step, first_tile;
  s8 unpacked[UNPACKED_BYTES] __attribute__((aligned(64)));
  i32 totals[MOST_ROWS * 16] __attribute__((aligned(64)));  // of the workgroup's rows over blocks of segments
} Convolution;

// Points `operands` at the `count` rows from `row` on; where segments are no multiple of 4 bytes, copies them first.
INLINE void set_operands(Convolution *c, i64 group, i64 row, i64 count) {
  const i32 *p = c->params;
  const i32 *segments = (const i32 *)((const u8 *)p + p[QCONV_segments_offset]);
  for (i64 i = 0; i < count; i++) {
    const u8 *from = c->input + c->inputs[row - c->first + i] + group * p[QCONV_group_bytes];
    if (!p[QCONV_gathered]) {
      c->operands[i] = from;
      continue;
    }
    u8 *to = c->gathered + i * p[QCONV_depth];
    c->operands[i] = to;
    for (i64 s = 0; s < p[QCONV_segments]; s++, to += p[QCONV_gathered]) copy_bytes(to, from + segments[2 * s], p[QCONV_gathered]);
    for (u8 *end = c->gathered + (i + 1) * p[QCONV_depth]; to < end; to++) *(volatile u8 *)to = 0;
  }
}

// The epilogue of a tile's `count` rows from `row` on.
INLINE void finish_tile(Convolution *c, i64 tile, i64 row, i64 count, const i32 *sums) {
  const i32 *p = c->params;
  const i64 group = group_of(p, tile), column = (tile - group * p[QCONV_group_tiles]) * 16;
  const i64 channel = group * p[QCONV_filters] + column, columns = smaller(16, p[QCONV_filters] - column);
  const i64 out_size = p[QCONV_out_f32] ? 4 : 1, residual_size = p[QCONV_residual_f32] ? 4 : 1;
  const float *scales = (const float *)((const u8 *)p + p[QCONV_scale_offset]) + tile * 32;
  u8 *out[TILE_ROWS];
  const u8 *residual[TILE_ROWS];
  for (i64 i = 0; i < count; i++) {
    const i64 at = row - c->first + i;
    out[i] = c->out + c->outs[at] + channel * out_size;
    if (c->residual) residual[i] = c->residual + c->residuals[at] + channel * residual_size;
  }
  store_tile(sums, scales, &c->finish, c->residual ? residual : 0, out, columns, count);
}

INLINE const u8 *schedule_of(const i32 *p, i64 tile, i64 block) {
  const u8 *blob = (const u8 *)p;
  if (!p[QCONV_schedule_offset]) return 0;
  return blob + ((const i32 *)(blob + p[QCONV_schedule_offset]))[tile * p[QCONV_blocks] + block];
}

INLINE void do_tile(Convolution *c, i64 tile, i64 row, i64 count) {
  const i32 *p = c->params;
  const i32 joined[2] = {0, p[QCONV_depth]};
  const i32 *segments = p[QCONV_gathered] ? joined : (const i32 *)((const u8 *)p + p[QCONV_segments_offset]);
  const s8 *panel = c->panels + (tile - c->first_tile) * c->panel_step;
  i32 sums[TILE_ROWS * 16] __attribute__((aligned(64)));
  multiply_tile(c->operands, panel, schedule_of(p, tile, 0), segments, segments + (p[QCONV_gathered] ? 2 : 2 * p[QCONV_segments]), count,
                sums);
  finish_tile(c, tile, row, count, sums);
}

// Places in which a panel is fetched at once: memory answers for several pages faster than for one after the other.
#define PLACES 8

// A share of a panel into L2, while the rows pass by the one before: a layer's weights come from farther away. None from `end_tile` on.
INLINE void fetch_share(const i32 *p, i64 tile, i64 end_tile, i64 share, i64 shares) {
  if (tile >= end_tile) return;
  const s8 *panel = panel_of(p, tile);
  const i64 bytes = p[QCONV_panel_bytes] / PLACES, end = bytes * (share + 1) / shares;
  for (i64 at = bytes * share / shares; at < end; at += 64)
#pragma clang loop unroll(full)
    for (int i = 0; i < PLACES; i++) __builtin_prefetch(panel + i * bytes + at, 0, 2);
}

// A deep panel: the rows of the workgroup pass by every block of its segments.
OUTLINE void do_blocks(Convolution *c, i64 last, i64 tile, i64 end_tile) {
  const i32 *p = c->params;
  const i32 *segment = (const i32 *)((const u8 *)p + p[QCONV_segments_offset]), *end = segment + 2 * p[QCONV_segments];
  const i64 shares = (last - c->first + TILE_ROWS - 1) / TILE_ROWS * p[QCONV_blocks];
  for (i64 block = 0, done = 0, share = 0; segment < end; block++) {
    const i32 *from = segment, *to = segment + smaller(2 * p[QCONV_block_segments], end - segment);
    i64 bytes = 0;
    for (; segment < to; segment += 2) bytes += segment[1];
    const s8 *weights = block_of_panel(c->unpacked, p, tile, block, done, bytes);
    for (i64 row = c->first; row < last; row += TILE_ROWS, share++) {
      const i64 count = smaller(TILE_ROWS, last - row);
      i32 sums[TILE_ROWS * 16] __attribute__((aligned(64))), *total = c->totals + (row - c->first) * 16;
      fetch_share(p, tile + 1, end_tile, share, shares);
      set_operands(c, group_of(p, tile), row, count);
      multiply_tile(c->operands, weights, schedule_of(p, tile, block), from, to, count, sums);
      for (i64 i = 0; i < count * 16; i++) total[i] = done ? total[i] + sums[i] : sums[i];
    }
    done += bytes;
  }
  for (i64 row = c->first; row < last; row += TILE_ROWS)
    finish_tile(c, tile, row, smaller(TILE_ROWS, last - row), c->totals + (row - c->first) * 16);
}

INLINE void use_panels(Convolution *c, i64 tile, i64 count) {
  const i32 *p = c->params;
  c->first_tile = tile;
  if (p[QCONV_bits] == 8) {
    c->panels = panel_of(p, tile), c->panel_step = p[QCONV_panel_bytes];
    return;
  }
  c->panels = c->unpacked, c->panel_step = head_bytes(p) + 16 * p[QCONV_depth];
  for (i64 i = 0; i < count; i++) unpack_panel(c->unpacked + i * c->panel_step, p, tile + i, 0, p[QCONV_depth]);
}

INLINE void do_workgroup(Convolution *c, i64 last, i64 begin, i64 end) {
  const i32 *p = c->params;
  // Panels that stay in L1 together with a few rows are walked for these rows; a larger one is kept and the rows pass by.
  const i64 at_once = p[QCONV_tiles_inner] ? end - begin : 1;
  for (i64 t = begin; t < end; t += at_once) {
    if (p[QCONV_blocks] > 1) {
      do_blocks(c, last, t, end);
      continue;
    }
    use_panels(c, t, at_once);
    for (i64 row = c->first; row < last; row += TILE_ROWS) {
      const i64 count = smaller(TILE_ROWS, last - row);
      i64 group = -1;
      fetch_share(p, t + at_once, end, (row - c->first) / TILE_ROWS, (last - c->first + TILE_ROWS - 1) / TILE_ROWS);
      for (i64 tile = t; tile < t + at_once; tile++) {
        if (group_of(p, tile) != group) set_operands(c, group = group_of(p, tile), row, count);
        do_tile(c, tile, row, count);
      }
    }
  }
}

INLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  Convolution c;
  c.input = input, c.residual = residual, c.out = out, c.params = (const i32 *)blob;
  const i32 *p = c.params;
  const Image in = IMAGE(QCONV, p, in), result = IMAGE(QCONV, p, out), other = IMAGE(QCONV, p, residual);
  c.finish = FINISH(QCONV, p);
  const i64 first = x * p[QCONV_block_rows], last = smaller(first + p[QCONV_block_rows], p[QCONV_rows]), width = p[QCONV_out_width];
  c.first = first;
  find_pixels(c.inputs, &in, width, first, last - first);
  find_pixels(c.outs, &result, width, first, last - first);
  if (residual) find_pixels(c.residuals, &other, width, first, last - first);
  const i64 begin = y * p[QCONV_block_tiles], end = smaller(begin + p[QCONV_block_tiles], p[QCONV_tiles]);
  if (y == 0) {
    const i64 channels = p[QCONV_tiles] / p[QCONV_group_tiles] * p[QCONV_filters];
    const Frame frame = FRAME(QCONV, p, p[QCONV_rows] / width, width, channels * (p[QCONV_out_f32] ? 4 : 1));
    // A row's frame is filled by the workgroup that has its first pixel.
    fill_frame(out, &result, &frame, (first + width - 1) / width, (last + width - 1) / width);
  }
  do_workgroup(&c, last, begin, end);
}

ENTRY_POINTS(qconv, convolve)
