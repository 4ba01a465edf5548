// An f32 convolution whose results are pooled while they are near: a large image would otherwise be written to memory and read again.
// fconv_driver.h includes this file.
//
// A workgroup has some rows of the pooled image. The rows that a window sees lie in a ring, row r of the padded image in slot
// r % window: a maximum does not ask for their order, so none is moved when the window goes on.
#include "fconv_pooled_params.h"
#include "maxpool_row.h"

typedef struct {
  const i32 *fused, *conv, *pool;
  u8 *rows;
  i64 pixel, row;  // bytes
} Ring;

INLINE u8 *slot(const Ring *ring, i64 row) { return ring->rows + row % ring->pool[MAXPOOL_window_height] * ring->row; }

// Pixels of padding: less than any value.
INLINE void fill_least(u8 *to, i64 bytes) {
  const float least = -__builtin_inff();
  for (i64 i = 0; i < bytes; i += 4) {
    __builtin_memcpy(to + i, &least, 4);
    __asm__("" : : : "memory");  // LLVM must not call memset_pattern
  }
}

// `count` rows of the padded image from `first` on, all of which are rows of the convolution.
INLINE void convolve_rows(Convolution *c, const Ring *ring, i64 first, i64 count) {
  const i32 *p = ring->conv;
  const i64 width = p[FCONV_out_width], top = ring->fused[FCONV_POOLED_top], left = ring->fused[FCONV_POOLED_left] * ring->pixel;
  const Image in = IMAGE(FCONV, p, in);
  find_pixels(c->inputs, &in, width, (first - top) * width, count * width);
  for (i64 i = 0; i < count; i++) {
    const Image place = {slot(ring, first + i) - ring->rows + left, ring->pixel, 0};
    find_pixels(c->outs + i * width, &place, width, 0, width);
  }
  do_workgroup(c, count * width, 0, p[FCONV_tiles]);
}

// The rows of the padded image from `next` to `last`: those of the convolution as many at a time as a workgroup may do.
INLINE void fill_ring(Convolution *c, const Ring *ring, i64 next, i64 last) {
  const i32 *p = ring->conv;
  const i64 width = p[FCONV_out_width], top = ring->fused[FCONV_POOLED_top], end = top + p[FCONV_rows] / width;
  while (next < last) {
    i64 count = 1;
    if (next < top || next >= end) {
      fill_least(slot(ring, next), ring->row);
    } else {
      count = smaller(smaller(last, end) - next, MOST_ROWS / width);
      convolve_rows(c, ring, next, count);
    }
    next += count;
  }
}

INLINE void convolve_and_pool(const u8 *input, const u8 *blob, u8 *out, u8 *rings, i64 x) {
  const i32 *f = (const i32 *)blob, *conv = (const i32 *)(blob + f[FCONV_POOLED_conv_offset]);
  const i32 *p = (const i32 *)(blob + f[FCONV_POOLED_pool_offset]);
  const Ring ring = {f, conv, p, rings + x * f[FCONV_POOLED_ring_bytes], p[MAXPOOL_pixel_bytes], p[MAXPOOL_row_step]};
  Convolution c;
  c.input = input, c.residual = 0, c.out = ring.rows, c.params = conv;
  const i64 left = f[FCONV_POOLED_left], right = left + conv[FCONV_out_width], window = p[MAXPOOL_window_height];
  for (i64 i = 0; i < window; i++) {
    fill_least(slot(&ring, i), left * ring.pixel);
    fill_least(slot(&ring, i) + right * ring.pixel, (f[FCONV_POOLED_width] - right) * ring.pixel);
  }
  const Image result = IMAGE(MAXPOOL, p, out);
  const Frame frame = FRAME(MAXPOOL, p, p[MAXPOOL_height], p[MAXPOOL_width], p[MAXPOOL_pixel_bytes]);
  const i64 top = x * p[MAXPOOL_block_height], bottom = smaller(top + p[MAXPOOL_block_height], p[MAXPOOL_height]);
  const i64 stride = p[MAXPOOL_in_step_y] / ring.row;
  fill_frame(out, &result, &frame, top, bottom);
  i64 filled = 0;  // rows of the padded image before this one are in the ring, or not wanted any more
  for (i64 y = top; y < bottom; y++) {
    fill_ring(&c, &ring, larger(filled, y * stride), y * stride + window);
    filled = y * stride + window;
    pool_row(p, ring.rows, out + result.offset + y * result.step_y);
  }
}

void SYMBOL(fconv_pooled)(const u8 *input, const u8 *blob, u8 *out, u8 *rings, i64 input_offset, i64 blob_offset, i64 out_offset,
                          i64 rings_offset, i64 x, i64 y) {
  (void)y;
  convolve_and_pool(input + input_offset, blob + blob_offset, out + out_offset, rings + rings_offset, x);
}
