// Quantized convolution for AMX: `tdpbusd` multiplies 16 pixels x 64 operands of u8 by 64 x 16 columns of s8 and adds to 32-bit sums, exactly.
//
// A tile of operands is read straight from the image when its pixels lie evenly apart, which the compiler arranges: along an image row, or
// along the whole padded image, where the pixels between two rows are computed too and dropped (`flat_width` > `out_width`). Otherwise a
// tile's operands are gathered first. All tiles have `tile_rows` rows: the last of a line starts earlier and drops what the one before has too.
//
// The tile unit works beside the others, so the epilogue of one product is spread between the steps of the next.
#define SYMBOL(name) quantune_##name##_amx
#include <immintrin.h>

#include "../common.h"
#include "../finish.h"
#include "../image.h"
#include "../qconv_groups.h"
#include "../qconv_params.h"
#include "convolution.h"
#include "epilogue.h"
#include "product.h"

INLINE void do_workgroup(Convolution *c, i64 first, i64 last, i64 begin, i64 end) {
  // Weights that stay in L2 beside the operands are walked for two strips; of more two columns are kept, all strips pass by, and the next two
  // are fetched meanwhile.
  // Three or four strips by one column read more operands, but weights, which come from farther away, half as often: see pack_amx.py.
  const i64 strips = last - first > 2 ? c->params[QCONV_strips] : 2, most = strips > 2 ? 1 : 2;
  const i64 at_once = c->params[QCONV_tiles_inner] ? end - begin : most;
  const i64 passes = (last - first + strips - 1) / strips;
  for (i64 from = begin; from < end; from += at_once) {
    const i64 to = smaller(from + at_once, end);
    // Also for the workgroup after this one, whose first weights would be waited for.
    expect(c, to, passes > 1 ? smaller(at_once, c->params[QCONV_tiles] - to) : 0, passes);
    for (i64 tile = first; tile < last; tile += strips) {
      const int rows = (int)smaller(strips, last - tile);
      i64 group = -1;
      for (i64 column = from, count; column < to; column += count) {
        if (group_of(c->params, column) != group) {
          group = group_of(c->params, column);
          set_strips(c, tile, rows, group);
        }
        count = smaller(most, smaller(to, (group + 1) * c->params[QCONV_group_tiles]) - column);
        do_tiles(c, rows, column, (int)count, tile == 0 && (passes == 1 || from == begin));
      }
    }
  }
  finish_last(c);
}

OUTLINE void convolve(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 x, i64 y) {
  const i32 *p = (const i32 *)blob;
  u8 gathered[GATHER_BYTES] __attribute__((aligned(64)));
  Convolution c = {input, residual, out, p, (const i32 *)(blob + p[QCONV_segments_offset]), .gathered = gathered};
  c.chunks = p[QCONV_depth] / p[QCONV_chunk];
  c.in = IMAGE(QCONV, p, in), c.result = IMAGE(QCONV, p, out), c.other = IMAGE(QCONV, p, residual);
  c.finish = FINISH(QCONV, p);
  if (x == 0 && y == 0) {
    const i64 channels = p[QCONV_tiles] / p[QCONV_group_tiles] * p[QCONV_filters], height = p[QCONV_rows] / p[QCONV_out_width];
    const Frame frame = FRAME(QCONV, p, height, p[QCONV_out_width], channels * (p[QCONV_out_f32] ? 4 : 1));
    fill_frame(out, &c.result, &frame, 0, height);
  }
  const i64 first = x * p[QCONV_block_rows], last = smaller(first + p[QCONV_block_rows], p[QCONV_row_tiles]);
  const i64 begin = y * p[QCONV_block_tiles], end = smaller(begin + p[QCONV_block_tiles], p[QCONV_tiles]);
  open_tiles(p[QCONV_tile_rows], p[QCONV_chunk]);
  do_workgroup(&c, first, last, begin, end);
  _tile_release();
}

ENTRY_POINTS(qconv, convolve)
