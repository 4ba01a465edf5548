// The loops around an f32 convolution's tile: which rows, which columns, where operands and results lie. An instruction set's fconv.c
// defines
//   TILE_ROWS, TILE_COLUMNS         of a tile
//   multiply_tile(tile, count)      `count` rows: bias + products, + residual, clamp, store
// and then includes this file. Rows beyond `count` up to TILE_ROWS repeat the last one, operands and results alike, so that a kernel may
// compute more rows than it is asked for.
#include "common.h"
#include "fconv_params.h"
#include "fconv_tile.h"
#include "image.h"

// The most rows a workgroup may do.
#define MOST_ROWS 224

typedef struct {
  const u8 *input;
  const u8 *residual;  // or null
  u8 *out;
  const i32 *params;
  i64 first;                                                     // row of the workgroup
  i32 inputs[MOST_ROWS], outs[MOST_ROWS], residuals[MOST_ROWS];  // byte offsets of the workgroup's pixels
} Convolution;

// The rows of a tile.
typedef struct {
  const u8 *operands[TILE_ROWS], *residual[TILE_ROWS];
  u8 *out[TILE_ROWS];
  i64 count, share, shares;  // the `share`th of so many that have the same weights
} Rows;

INLINE void set_rows(Rows *r, const Convolution *c, i64 from, i64 count) {
  r->count = count;
  for (i64 i = 0; i < TILE_ROWS; i++) {
    const i64 at = from + smaller(i, count - 1);
    r->operands[i] = c->input + c->inputs[at];
    r->out[i] = c->out + c->outs[at];
    r->residual[i] = c->residual + (c->residual ? c->residuals[at] : 0);
  }
}

// While a tile is computed the weights of the next come nearer, a part for each tile of rows, so that memory is read at an even rate.
INLINE void do_tile(const Convolution *c, const Rows *r, i64 tile) {
  const i32 *p = c->params;
  const u8 *blob = (const u8 *)p;
  const u32 group = (u32)tile / (u32)p[FCONV_group_tiles], column = (u32)tile % (u32)p[FCONV_group_tiles] * TILE_COLUMNS;
  const i32 *segments = (const i32 *)(blob + p[FCONV_segments_offset]);
  const i64 panel = TILE_COLUMNS * (i64)p[FCONV_depth];
  const float *weights = (const float *)(blob + p[FCONV_weight_offset]) + tile * panel;
  const i64 rate = tile + 1 < p[FCONV_tiles] ? 4 * TILE_COLUMNS / r->shares : 0;
  const Tile t = {
      .operands = r->operands,
      .segments = segments,
      .end = segments + 2 * p[FCONV_segments],
      .weights = weights,
      .bias = (const float *)(blob + p[FCONV_bias_offset]) + tile * TILE_COLUMNS,
      .residual = c->residual ? r->residual : 0,
      .out = r->out,
      .operand = group * (i64)p[FCONV_group_bytes],
      .channel = (group * (i64)p[FCONV_filters] + column) * 4,
      .columns = smaller(TILE_COLUMNS, p[FCONV_filters] - column),
      .low = as_f32(p[FCONV_low]),
      .high = as_f32(p[FCONV_high]),
      .soon = (const u8 *)(weights + (rate ? panel : 0)) + r->share * rate * p[FCONV_depth],
      .soon_step = rate,
  };
  multiply_tile(&t, r->count);
}

// Rows are shared out evenly: a last tile of one row would cost almost as much as a full one.
INLINE void do_workgroup(const Convolution *c, i64 rows, i64 begin, i64 end) {
  Rows r;
  r.shares = (rows + TILE_ROWS - 1) / TILE_ROWS;
  // A panel that stays in L1 together with a few rows is walked for these rows; a larger one is kept and the rows pass by.
  const i64 at_once = c->params[FCONV_tiles_inner] ? end - begin : 1;
  for (i64 t = begin; t < end; t += at_once) {
    for (r.share = 0; r.share < r.shares; r.share++) {
      const i64 from = rows * r.share / r.shares, to = rows * (r.share + 1) / r.shares;
      set_rows(&r, c, from, to - from);
      for (i64 tile = t; tile < t + at_once; tile++) do_tile(c, &r, tile);
    }
  }
}

INLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  Convolution c;
  c.input = input, c.residual = residual, c.out = out, c.params = (const i32 *)blob;
  const i32 *p = c.params;
  const Image in = IMAGE(FCONV, p, in), result = IMAGE(FCONV, p, out), other = IMAGE(FCONV, p, residual);
  const i64 first = x * p[FCONV_block_rows], last = smaller(first + p[FCONV_block_rows], p[FCONV_rows]), width = p[FCONV_out_width];
  c.first = first;
  find_pixels(c.inputs, &in, width, first, last - first);
  find_pixels(c.outs, &result, width, first, last - first);
  if (residual) find_pixels(c.residuals, &other, width, first, last - first);
  const i64 begin = y * p[FCONV_block_tiles], end = smaller(begin + p[FCONV_block_tiles], p[FCONV_tiles]);
  if (y == 0) {
    const i64 channels = p[FCONV_tiles] / p[FCONV_group_tiles] * p[FCONV_filters];
    const Frame frame = FRAME(FCONV, p, p[FCONV_rows] / width, width, channels * 4);
    // A row's frame is filled by the workgroup that has its first pixel.
    fill_frame(out, &result, &frame, (first + width - 1) / width, (last + width - 1) / width);
  }
  do_workgroup(&c, last - first, begin, end);
}

ENTRY_POINTS(fconv, convolve)
