// What the parts of the AMX convolution share: the operands, the strips of pixels in work, and the sums that wait for their epilogue.
#ifndef QUANTUNE_AMX_CONVOLUTION_H_
#define QUANTUNE_AMX_CONVOLUTION_H_

#include <immintrin.h>

#include "../common.h"
#include "../finish.h"
#include "../image.h"
#include "../qconv_params.h"

#define ROWS 16
#define STRIPS 4  // the most that a product takes
// Operands gathered for the strips of a product live on the stack; IREE's worker threads have 128 KiB.
#define GATHER_BYTES (40 * 1024)

// One tile of output pixels: its operands and how far apart they lie, and the byte offsets of its results; negative: dropped.
typedef struct {
  const u8 *operands;
  i64 stride;
  i32 outs[ROWS], residuals[ROWS];
} Strip;

// The sums of a product, strip by strip two tiles, of which `next` to `count` still have to be finished: channels from `channel` on, `filters`
// of them. The first `tiles` registers hold them until the next product takes these; they belong `apart` from each other.
typedef struct {
  i32 sums[2 * STRIPS][ROWS * 16] __attribute__((aligned(64)));
  const Strip *strips;
  const float *scales;
  i64 channel, filters, apart;
  int columns, next, count, tiles;
} Pending;

// Weights on their way: four places at once from `at` on, `apart` from each other and two by two `farther`, `step` bytes of each in every step.
typedef struct {
  const s8 *at, *due;
  i64 step, apart, farther;
} Coming;

typedef struct {
  const u8 *input;
  const u8 *residual;  // or null
  u8 *out;
  const i32 *params;
  const i32 *segments;
  i64 chunks;  // of a product
  Finish finish;
  Image in, result, other;
  u8 *gathered;
  Strip strips[2][STRIPS];  // of the product in work and of the one that is pending
  int current;
  Pending pending;
  Coming coming;  // of later products
} Convolution;

INLINE void gather(const Convolution *c, Strip *s, i64 start, i64 group, u8 *to) {
  const i32 *p = c->params;
  s->operands = to, s->stride = p[QCONV_depth];
  const i64 length = p[QCONV_gathered] ? p[QCONV_gathered] : p[QCONV_chunk];
  for (i64 i = 0; i < p[QCONV_tile_rows]; i++, to += s->stride) {
    const i64 y = (start + i) / p[QCONV_out_width], x = (start + i) % p[QCONV_out_width];
    const u8 *from = c->input + c->in.offset + y * c->in.step_y + x * c->in.step_x + group * p[QCONV_group_bytes];
    u8 *end = to;
    for (i64 k = 0; k < p[QCONV_segments]; k++, end += length) copy_bytes(end, from + c->segments[2 * k], length);
    fill_bytes(end, 0, to + s->stride - end);
  }
}

// The byte offsets of a strip's pixels from (y, x) on in an image; `dropped` for those that are: the first few, which the strip before has,
// and those between two image rows.
INLINE void place_rows(i32 *places, i32 dropped, i64 few, const Image *image, const i32 *p, i64 y, i64 x) {
  const i64 width = p[QCONV_flat_width];
  const i32 first = (i32)(image->offset + y * image->step_y + x * image->step_x);
  const i32 to_next = (i32)(image->step_y - width * image->step_x);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i wide = _mm512_set1_epi32((i32)width);
  __m512i at = _mm512_add_epi32(lanes, _mm512_set1_epi32((i32)x));
  __m512i place = _mm512_add_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32((i32)image->step_x)), _mm512_set1_epi32(first));
  for (__mmask16 beyond; (beyond = _mm512_cmpge_epi32_mask(at, wide));) {  // once, unless an image row is shorter than a strip
    at = _mm512_mask_sub_epi32(at, beyond, at, wide);
    place = _mm512_mask_add_epi32(place, beyond, place, _mm512_set1_epi32(to_next));
  }
  const u32 rows = (1u << p[QCONV_tile_rows]) - (1u << few);
  const __mmask16 kept = _mm512_cmplt_epi32_mask(at, _mm512_set1_epi32(p[QCONV_out_width])) & rows;
  _mm512_storeu_si512(places, _mm512_mask_blend_epi32(kept, _mm512_set1_epi32(dropped), place));
}

INLINE void set_strip(const Convolution *c, Strip *s, i64 tile, i64 group, i64 place) {
  const i32 *p = c->params;
  const u32 line = (u32)tile / (u32)p[QCONV_line_tiles], width = (u32)p[QCONV_flat_width];
  const i64 due = (tile - line * p[QCONV_line_tiles]) * p[QCONV_tile_rows], start = smaller(due, p[QCONV_line_length] - p[QCONV_tile_rows]);
  s->operands = c->input + c->in.offset + line * c->in.step_y + start * c->in.step_x + group * p[QCONV_group_bytes];
  s->stride = c->in.step_x;
  const u32 y = line + (u32)start / width, x = (u32)start % width;
  if (p[QCONV_copied]) gather(c, s, start, group, c->gathered + place * p[QCONV_tile_rows] * p[QCONV_depth]);
  place_rows(s->outs, -1, due - start, &c->result, p, y, x);
  if (c->residual) place_rows(s->residuals, 0, due - start, &c->other, p, y, x);
}

OUTLINE void set_strips(Convolution *c, i64 tile, int rows, i64 group) {
  c->current = !c->current;
  for (int i = 0; i < rows; i++) set_strip(c, &c->strips[c->current][i], tile + i, group, i);
}

#endif
