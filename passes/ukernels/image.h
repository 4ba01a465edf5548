// Where the pixels of an image lie that is a part of a larger one: padded all round, or some of its channels.
#ifndef QUANTUNE_IMAGE_H_
#define QUANTUNE_IMAGE_H_

#include "common.h"

// Pixel (y, x) lies at byte offset + y * step_y + x * step_x.
typedef struct {
  i64 offset, step_x, step_y;
} Image;

// One of a kernel's images: IMAGE(QCONV, p, in), out or residual.
#define IMAGE(FAMILY, p, of) ((Image){p[FAMILY##_##of##_offset], p[FAMILY##_##of##_step_x], p[FAMILY##_##of##_step_y]})

// The byte offsets of `count` pixels from `first` on, in the order of rows of `width` pixels.
INLINE void find_pixels(i32 *places, const Image *image, i64 width, i64 first, i64 count) {
  i64 y = first / width, x = first % width;
  for (i64 i = 0; i < count; i++) {
    places[i] = (i32)(image->offset + y * image->step_y + x * image->step_x);
    if (++x == width) x = 0, y++;
  }
}

// A frame of pixels round the result, in which whoever reads the result finds its padding.
typedef struct {
  i64 top, left, bottom, right;  // pixels
  i64 height, width, bytes;      // the image inside; bytes of a pixel that are ours
  u8 fill;
} Frame;

// That of a kernel's result.
#define FRAME(FAMILY, p, height, width, bytes)                                                                                      \
  ((Frame){p[FAMILY##_frame_top], p[FAMILY##_frame_left], p[FAMILY##_frame_bottom], p[FAMILY##_frame_right], height, width, bytes, \
           (u8)p[FAMILY##_frame_fill]})

OUTLINE void fill_pixels(u8 *to, const Frame *f, i64 step_x, i64 count) {
  if (step_x == f->bytes)
    fill_bytes(to, f->fill, count * step_x);
  else
    for (i64 i = 0; i < count; i++) fill_bytes(to + i * step_x, f->fill, f->bytes);
}

// The part of the frame that belongs to the rows of the image from `begin` to `end`: left and right, and above the first or below the last.
INLINE void fill_frame(u8 *out, const Image *image, const Frame *f, i64 begin, i64 end) {
  if (!(f->top | f->left | f->bottom | f->right)) return;
  const i64 from = begin == 0 ? -f->top : begin, to = end == f->height ? end + f->bottom : end;
  for (i64 y = from; y < to; y++) {
    u8 *row = out + image->offset + y * image->step_y;
    if (y < 0 || y >= f->height) {
      fill_pixels(row - f->left * image->step_x, f, image->step_x, f->left + f->width + f->right);
    } else {
      fill_pixels(row - f->left * image->step_x, f, image->step_x, f->left);
      fill_pixels(row + f->width * image->step_x, f, image->step_x, f->right);
    }
  }
}

#endif
