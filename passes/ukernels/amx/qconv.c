// Quantized convolution for AMX: `tdpbusd` multiplies 16 pixels x 64 operands of u8 by 64 x 16 columns of s8 and adds to 32-bit sums, exactly.
//
// A tile of operands is read straight from the image when its pixels lie evenly apart, which the compiler arranges: along an image row, or
// along the whole padded image, where the pixels between two rows are computed too and dropped (`flat_width` > `out_width`). Otherwise a
// tile's operands are gathered first. All tiles have `tile_rows` rows: the last of a line starts earlier and repeats some.
#define SYMBOL(name) quantune_##name##_amx
#include <immintrin.h>

#include "../common.h"
#include "../finish.h"
#include "../image.h"
#include "../qconv_params.h"
#include "../store_tile_avx512.h"
#include "tiles.h"

#define ROWS 16
// Operands gathered for two tiles live on the stack; IREE's worker threads have 128 KiB.
#define GATHER_BYTES (40 * 1024)

typedef struct {
  const u8 *input;
  const u8 *residual;  // or null
  u8 *out;
  const i32 *params;
  const i32 *segments;
  Finish finish;
  Image in, result, other;
  u8 *gathered;
} Convolution;

// One tile of output pixels: where its operands start and how far apart they lie.
typedef struct {
  i64 line, start;
  const u8 *operands;
  i64 stride;
} Strip;

INLINE void gather(const Convolution *c, Strip *s, i64 group, u8 *to) {
  const i32 *p = c->params;
  s->operands = to, s->stride = p[QCONV_depth];
  const i64 length = p[QCONV_gathered] ? p[QCONV_gathered] : c->segments[1];
  for (i64 i = 0; i < p[QCONV_tile_rows]; i++, to += s->stride) {
    const i64 y = (s->start + i) / p[QCONV_out_width], x = (s->start + i) % p[QCONV_out_width];
    const u8 *from = c->input + c->in.offset + y * c->in.step_y + x * c->in.step_x + group * p[QCONV_group_bytes];
    u8 *end = to;
    for (i64 k = 0; k < p[QCONV_segments]; k++, end += length) copy_bytes(end, from + c->segments[2 * k], length);
    fill_bytes(end, 0, to + s->stride - end);
  }
}

INLINE Strip strip(const Convolution *c, i64 tile, i64 group, i64 place) {
  const i32 *p = c->params;
  const i64 tiles = p[QCONV_line_tiles];
  Strip s = {tile / tiles, smaller(tile % tiles * p[QCONV_tile_rows], p[QCONV_line_length] - p[QCONV_tile_rows]), 0, c->in.step_x};
  if (p[QCONV_copied])
    gather(c, &s, group, c->gathered + place * p[QCONV_tile_rows] * p[QCONV_depth]);
  else
    s.operands = c->input + c->in.offset + s.line * c->in.step_y + s.start * c->in.step_x + group * p[QCONV_group_bytes];
  return s;
}

OUTLINE void finish(const Convolution *c, const Strip *s, i64 tile, const i32 *sums) {
  const i32 *p = c->params;
  const i64 group = tile / p[QCONV_group_tiles], column = tile % p[QCONV_group_tiles] * 16;
  const i64 channel = group * p[QCONV_filters] + column, width = p[QCONV_flat_width];
  const i64 out_size = p[QCONV_out_f32] ? 4 : 1, residual_size = p[QCONV_residual_f32] ? 4 : 1;
  const float *scales = (const float *)((const u8 *)p + p[QCONV_scale_offset]) + tile * 32;
  u8 nowhere[64] __attribute__((aligned(64)));
  u8 *out[ROWS];
  const u8 *residual[ROWS];
  i64 y = s->line + s->start / width, x = s->start % width;
  for (i64 i = 0; i < p[QCONV_tile_rows]; i++) {
    out[i] = nowhere, residual[i] = nowhere;
    if (x < p[QCONV_out_width]) {
      out[i] = c->out + c->result.offset + y * c->result.step_y + x * c->result.step_x + channel * out_size;
      if (c->residual) residual[i] = c->residual + c->other.offset + y * c->other.step_y + x * c->other.step_x + channel * residual_size;
    }
    if (++x == width) x = 0, y++;
  }
  store_tile(sums, scales, &c->finish, c->residual ? residual : 0, out, smaller(16, p[QCONV_filters] - column), p[QCONV_tile_rows]);
}

// Two by two tiles of sums (or fewer), from `column` on.
INLINE void do_tiles(const Convolution *c, const Strip *s, const int rows, i64 column, const int columns) {
  const i32 *p = c->params;
  const s8 *weights = (const s8 *)p + p[QCONV_weight_offset] + column * 16 * (i64)p[QCONV_depth];
  i32 sums[4][ROWS * 16] __attribute__((aligned(64)));
  const int joined = p[QCONV_copied];
  multiply(s[0].operands, s[rows - 1].operands, s[0].stride, weights, 16 * (i64)p[QCONV_depth], joined ? 0 : c->segments,
           p[QCONV_depth] / p[QCONV_chunk], p[QCONV_chunk], rows, columns, sums);
  for (int j = 0; j < columns; j++)
    for (int i = 0; i < rows; i++) finish(c, &s[i], column + j, sums[2 * i + j]);
}

INLINE void do_strips(const Convolution *c, i64 tile, const int rows, i64 begin, i64 end) {
  const i32 *p = c->params;
  const i64 group_tiles = p[QCONV_group_tiles];
  Strip s[2];
  i64 group = -1;
  for (i64 column = begin; column < end;) {
    if (column / group_tiles != group) {
      group = column / group_tiles;
      for (int i = 0; i < rows; i++) s[i] = strip(c, tile + i, group, i);
    }
    const i64 left = smaller(end, (group + 1) * group_tiles) - column;
    if (left >= 2)
      do_tiles(c, s, rows, column, 2), column += 2;
    else
      do_tiles(c, s, rows, column, 1), column += 1;
  }
}

INLINE void do_workgroup(const Convolution *c, i64 first, i64 last, i64 begin, i64 end) {
  // A panel that stays in L2 beside the operands is walked for two strips; of a larger one two columns are kept and all strips pass by.
  const i64 at_once = c->params[QCONV_tiles_inner] ? end - begin : 2;
  for (i64 column = begin; column < end; column += at_once) {
    i64 tile = first;
    for (; tile + 2 <= last; tile += 2) do_strips(c, tile, 2, column, smaller(column + at_once, end));
    if (tile < last) do_strips(c, tile, 1, column, smaller(column + at_once, end));
  }
}

OUTLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  const i32 *p = (const i32 *)blob;
  u8 gathered[GATHER_BYTES] __attribute__((aligned(64)));
  Convolution c = {input, residual, out, p, (const i32 *)(blob + p[QCONV_segments_offset]), .gathered = gathered};
  c.in = (Image){p[QCONV_in_offset], p[QCONV_in_step_x], p[QCONV_in_step_y]};
  c.result = (Image){p[QCONV_out_offset], p[QCONV_out_step_x], p[QCONV_out_step_y]};
  c.other = (Image){p[QCONV_residual_offset], p[QCONV_residual_step_x], p[QCONV_residual_step_y]};
  c.finish = (Finish){as_f32(p[QCONV_residual_multiplier]), as_f32(p[QCONV_low]), as_f32(p[QCONV_high]), p[QCONV_out_f32],
                      p[QCONV_residual_f32]};
  if (x == 0 && y == 0) {
    const i64 channels = p[QCONV_tiles] / p[QCONV_group_tiles] * p[QCONV_filters], height = p[QCONV_rows] / p[QCONV_out_width];
    const Frame frame = {p[QCONV_frame_top], p[QCONV_frame_left], p[QCONV_frame_bottom], p[QCONV_frame_right],
                         height, p[QCONV_out_width], channels * (p[QCONV_out_f32] ? 4 : 1), (u8)p[QCONV_frame_fill]};
    fill_frame(out, &c.result, &frame, 0, height);
  }
  const i64 first = x * p[QCONV_block_rows], last = smaller(first + p[QCONV_block_rows], p[QCONV_row_tiles]);
  const i64 begin = y * p[QCONV_block_tiles], end = smaller(begin + p[QCONV_block_tiles], p[QCONV_tiles]);
  open_tiles(p[QCONV_tile_rows], p[QCONV_chunk]);
  do_workgroup(&c, first, last, begin, end);
  _tile_release();
}

void SYMBOL(qconv)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  convolve(input + input_offset, 0, blob + blob_offset, out + out_offset, x, y);
}

void SYMBOL(qconv_residual)(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 input_offset, i64 residual_offset,
                            i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  convolve(input + input_offset, residual + residual_offset, blob + blob_offset, out + out_offset, x, y);
}
