// The loops around an f32 convolution's tile: which rows, which columns, where operands and results lie. An instruction set's fconv.c
// defines
//   TILE_ROWS, TILE_COLUMNS         of a tile
//   multiply_tile(tile, count)      `count` rows: bias + products, + residual, clamp, store
//   PAIR_ROWS, multiply_pair        of two panels of columns at a time, at most TILE_ROWS / 2 rows: if that is faster
//   ELEMENT, BLOCK                  what maxpool_row.h wants
// and then includes this file. Rows beyond `count` up to TILE_ROWS repeat the last one, so that a kernel may compute more rows than it is
// asked for; it must not store them, as results may lie where their residual did.
#include "common.h"
#include "fconv_params.h"
#include "fconv_tile.h"
#include "image.h"

// The most rows a workgroup may do.
#define MOST_ROWS 224
#ifdef PAIR_ROWS
#define PAIRS 1
#else
#define PAIRS 0
#define PAIR_ROWS TILE_ROWS
#define multiply_pair multiply_tile
#endif
// Few rows, of so many tiles at most, take at most so many operands at a time; no segment of a pair's is longer. Their weights then fit L1.
#define PART(panels) (256 / (panels))
#define FEW_ROWS 64
#define MOST_SHARES (FEW_ROWS / PAIR_ROWS + 1)

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

// The product of some rows with one panel of weights, or with two. Meanwhile the weights of the next come nearer, a part for each tile of
// rows, so that memory is read at an even rate.
INLINE Tile tile_of(const Convolution *c, const Rows *r, i64 tile, const i64 panels) {
  const i32 *p = c->params;
  const u8 *blob = (const u8 *)p;
  const u32 group = (u32)tile / (u32)p[FCONV_group_tiles], column = (u32)tile % (u32)p[FCONV_group_tiles] * TILE_COLUMNS;
  const i32 *segments = (const i32 *)(blob + p[FCONV_segments_offset]);
  const i64 panel = TILE_COLUMNS * (i64)p[FCONV_depth];
  const float *weights = (const float *)(blob + p[FCONV_weight_offset]) + tile * panel;
  const i64 rate = tile + panels < p[FCONV_tiles] ? panels * 4 * TILE_COLUMNS / r->shares : 0;
  return (Tile){
      .operands = r->operands,
      .segments = segments,
      .end = segments + 2 * p[FCONV_segments],
      .weights = weights,
      .panel = panel,
      .start = (const float *)(blob + p[FCONV_bias_offset]) + tile * TILE_COLUMNS,
      .residual = c->residual ? r->residual : 0,
      .out = r->out,
      .operand = group * (i64)p[FCONV_group_bytes],
      .channel = (group * (i64)p[FCONV_filters] + column) * 4,
      .columns = smaller(panels * TILE_COLUMNS, p[FCONV_filters] - column),
      .low = as_f32(p[FCONV_low]),
      .high = as_f32(p[FCONV_high]),
      .soon = (const u8 *)(weights + (rate ? panels * panel : 0)) + r->share * rate * p[FCONV_depth],
      .soon_step = rate,
      .soon_bytes = rate * p[FCONV_depth],
  };
}

INLINE void multiply(const Tile *t, i64 count, const i64 panels) { panels == 2 ? multiply_pair(t, count) : multiply_tile(t, count); }

// A few rows and one panel, or a pair, a part of the operands at a time: its weights stay in L1 while all rows pass by, and the weights of
// the next part come nearer. A whole panel of a deep layer would come from L2 again for every tile of rows, and the next from memory beside
// it.
INLINE void do_few_rows(const Convolution *c, i64 rows, i64 shares, i64 tile, const i64 panels) {
  Rows r[MOST_SHARES];
  Tile t[MOST_SHARES];
  float sums[MOST_SHARES][TILE_ROWS * TILE_COLUMNS] __attribute__((aligned(64)));
  for (i64 share = 0; share < shares; share++) {
    set_share(&r[share], c, rows, shares, share);
    t[share] = tile_of(c, &r[share], tile, panels);
  }
  const i32 *p = c->params, *segment = t[0].segments, *end = t[0].end;
  const float *weights = t[0].weights;
  const i64 panel = t[0].panel;
  i64 left = p[FCONV_depth] * ((p[FCONV_tiles] - tile) / panels);  // operands until the last panel's end
  while (segment != end) {
    const i32 *const part = segment;
    i64 operands = 0;
    do operands += segment[1] / 4, segment += 2;
    while (segment != end && operands + segment[1] / 4 <= PART(panels));
    const i64 rate = left >= 2 * PART(panels) ? panels * 4 * TILE_COLUMNS / shares : 0;
    // Behind the last part of a pair comes the next pair's first.
    const float *const next = weights + operands * TILE_COLUMNS + (segment == end ? (panels - 1) * panel : 0);
    for (i64 share = 0; share < shares; share++) {
      Tile *const product = &t[share];
      product->segments = part, product->end = segment, product->weights = weights;
      product->soon = (const u8 *)(rate ? next : weights) + share * (rate / panels) * operands, product->soon_step = rate;
      product->soon_bytes = panels == 1 ? rate * operands : rate ? panels * 4 * panel : 0;
      product->sums = segment == end ? 0 : sums[share];
      multiply(product, r[share].count, panels);
      product->start = sums[share], product->start_step = panels * TILE_COLUMNS;
    }
    weights += operands * TILE_COLUMNS, left -= operands;
  }
}

// Some tiles, `panels` at a time. Rows are shared out evenly: a last tile of one row would cost almost as much as a full one.
OUTLINE void do_tiles(const Convolution *c, i64 rows, i64 begin, i64 end, const i64 panels) {
  const i64 tile_rows = panels == 2 ? PAIR_ROWS : TILE_ROWS, shares = (rows + tile_rows - 1) / tile_rows;
  if (shares <= FEW_ROWS / tile_rows + 1 && !c->params[FCONV_tiles_inner]) {
    for (i64 tile = begin; tile < end; tile += panels) do_few_rows(c, rows, shares, tile, panels);
    return;
  }
  // Panels that stay in L1 together with a few rows are walked for these rows; a larger one is kept and the rows pass by.
  const i64 at_once = c->params[FCONV_tiles_inner] ? end - begin : panels;
  for (i64 first = begin; first < end; first += at_once) {
    for (i64 share = 0; share < shares; share++) {
      Rows r;
      set_share(&r, c, rows, shares, share);
      for (i64 tile = first; tile < first + at_once; tile += panels) {
        const Tile product = tile_of(c, &r, tile, panels);
        multiply(&product, r.count, panels);
      }
    }
  }
}

// How many tiles are done in pairs: two of one group. The last is none's if half of its columns hold all it has.
INLINE i64 paired_tiles(const i32 *p, i64 rows, i64 begin, i64 end) {
  if (!PAIRS || rows < PAIR_ROWS || p[FCONV_group_tiles] < p[FCONV_tiles]) return 0;
  const i64 last = end == p[FCONV_tiles] ? p[FCONV_filters] - (end - 1) * TILE_COLUMNS : TILE_COLUMNS;
  return (2 * last <= TILE_COLUMNS ? end - 1 - begin : end - begin) / 2 * 2;
}

INLINE void do_workgroup(const Convolution *c, i64 rows, i64 begin, i64 end) {
  const i64 single = begin + paired_tiles(c->params, rows, begin, end);
  if (begin < single) do_tiles(c, rows, begin, single, 2);
  if (single < end) do_tiles(c, rows, single, end, 1);
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
