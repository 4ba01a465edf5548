// The loops around an f32 convolution's tile: which rows, which columns, where operands and results lie. An instruction set's fconv.c
// defines
//   TILE_ROWS, TILE_COLUMNS         of a tile
//   multiply_tile(tile, count)      `count` rows: bias + products, + residual, clamp, store
//   ELEMENT, BLOCK                  what maxpool_row.h wants
// and then includes this file. Rows beyond `count` up to TILE_ROWS repeat the last one, so that a kernel may compute more rows than it is
// asked for; it must not store them, as results may lie where their residual did.
#include "common.h"
#include "fconv_params.h"
#include "fconv_tile.h"
#include "image.h"

// The most rows a workgroup may do.
#define MOST_ROWS 224
// Few rows, of so many tiles at most, take at most so many operands at a time; no segment is longer. Their weights then fit L1.
#define PART 256
#define MOST_SHARES (64 / TILE_ROWS + 1)

typedef struct {
  const u8 *input;
  const u8 *residual;  // or null
  u8 *out;
  const i32 *params;
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

INLINE void set_share(Rows *r, const Convolution *c, i64 rows, i64 shares, i64 share) {
  const i64 from = rows * share / shares, to = rows * (share + 1) / shares;
  r->shares = shares, r->share = share;
  set_rows(r, c, from, to - from);
}

// The product of some rows with one panel of weights. Meanwhile the weights of the next come nearer, a part for each tile of rows, so
// that memory is read at an even rate.
INLINE Tile tile_of(const Convolution *c, const Rows *r, i64 tile) {
  const i32 *p = c->params;
  const u8 *blob = (const u8 *)p;
  const u32 group = (u32)tile / (u32)p[FCONV_group_tiles], column = (u32)tile % (u32)p[FCONV_group_tiles] * TILE_COLUMNS;
  const i32 *segments = (const i32 *)(blob + p[FCONV_segments_offset]);
  const i64 panel = TILE_COLUMNS * (i64)p[FCONV_depth];
  const float *weights = (const float *)(blob + p[FCONV_weight_offset]) + tile * panel;
  const i64 rate = tile + 1 < p[FCONV_tiles] ? 4 * TILE_COLUMNS / r->shares : 0;
  return (Tile){
      .operands = r->operands,
      .segments = segments,
      .end = segments + 2 * p[FCONV_segments],
      .weights = weights,
      .start = (const float *)(blob + p[FCONV_bias_offset]) + tile * TILE_COLUMNS,
      .residual = c->residual ? r->residual : 0,
      .out = r->out,
      .operand = group * (i64)p[FCONV_group_bytes],
      .channel = (group * (i64)p[FCONV_filters] + column) * 4,
      .columns = smaller(TILE_COLUMNS, p[FCONV_filters] - column),
      .low = as_f32(p[FCONV_low]),
      .high = as_f32(p[FCONV_high]),
      .soon = (const u8 *)(weights + (rate ? panel : 0)) + r->share * rate * p[FCONV_depth],
      .soon_step = rate,
      .soon_bytes = rate * p[FCONV_depth],
  };
}

// A few rows and one panel, a part of the operands at a time: its weights stay in L1 while all rows pass by, and the weights of the next
// part come nearer. A whole panel of a deep layer would come from L2 again for every tile of rows, and the next from memory beside it.
OUTLINE void do_few_rows(const Convolution *c, i64 rows, i64 shares, i64 tile) {
  Rows r[MOST_SHARES];
  Tile t[MOST_SHARES];
  float sums[MOST_SHARES][TILE_ROWS * TILE_COLUMNS];
  for (i64 share = 0; share < shares; share++) {
    set_share(&r[share], c, rows, shares, share);
    t[share] = tile_of(c, &r[share], tile);
  }
  const i32 *p = c->params, *segment = t[0].segments, *end = t[0].end;
  const float *weights = t[0].weights;
  i64 left = p[FCONV_depth] * (p[FCONV_tiles] - tile);  // operands until the last panel's end
  while (segment != end) {
    const i32 *const part = segment;
    i64 operands = 0;
    do operands += segment[1] / 4, segment += 2;
    while (segment != end && operands + segment[1] / 4 <= PART);
    const i64 rate = left >= 2 * PART ? 4 * TILE_COLUMNS / shares : 0;
    for (i64 share = 0; share < shares; share++) {
      Tile *const product = &t[share];
      product->segments = part, product->end = segment, product->weights = weights;
      product->soon = (const u8 *)(weights + (rate ? PART * TILE_COLUMNS : 0)) + share * rate * operands, product->soon_step = rate;
      product->soon_bytes = rate * operands;
      product->sums = segment == end ? 0 : sums[share];
      multiply_tile(product, r[share].count);
      product->start = sums[share], product->start_step = TILE_COLUMNS;
    }
    weights += operands * TILE_COLUMNS, left -= operands;
  }
}

// Rows are shared out evenly: a last tile of one row would cost almost as much as a full one.
OUTLINE void do_workgroup(const Convolution *c, i64 rows, i64 begin, i64 end) {
  const i64 shares = (rows + TILE_ROWS - 1) / TILE_ROWS;
  if (shares <= MOST_SHARES && !c->params[FCONV_tiles_inner]) {
    for (i64 tile = begin; tile < end; tile++) do_few_rows(c, rows, shares, tile);
    return;
  }
  // Panels that stay in L1 together with a few rows are walked for these rows; a larger one is kept and the rows pass by.
  const i64 at_once = c->params[FCONV_tiles_inner] ? end - begin : 1;
  for (i64 first = begin; first < end; first += at_once) {
    for (i64 share = 0; share < shares; share++) {
      Rows r;
      set_share(&r, c, rows, shares, share);
      for (i64 tile = first; tile < first + at_once; tile++) {
        const Tile product = tile_of(c, &r, tile);
        multiply_tile(&product, r.count);
      }
    }
  }
}

INLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  Convolution c;
  c.input = input, c.residual = residual, c.out = out, c.params = (const i32 *)blob;
  const i32 *p = c.params;
  const Image in = IMAGE(FCONV, p, in), result = IMAGE(FCONV, p, out), other = IMAGE(FCONV, p, residual);
  const i64 first = x * p[FCONV_block_rows], last = smaller(first + p[FCONV_block_rows], p[FCONV_rows]), width = p[FCONV_out_width];
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

#include "fconv_pooled.h"
