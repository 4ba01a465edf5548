// The parameters of elementwise arithmetic with one scale for all channels: quantization, requantization, addition. As qconv_params.h has
// them for convolutions.
//
//   v = fma(in, multiplier, offset), with a residual v = fma(residual, residual_multiplier, v); then clamp and round half to even, or f32
//
// The input is u8 or f32, an image of pixels or (f32 without a residual, u8 results) of planes, one a channel, as torch has it.
// The result may be squares (without a residual, u8, at most 4 channels): the framed image, whose two by two pixels become one.
#ifndef QUANTUNE_QMAP_PARAMS_H_
#define QUANTUNE_QMAP_PARAMS_H_

#define QMAP_FIELDS(FIELD)                                                                                                         \
  FIELD(height)              /* rows */                                                                                            \
  FIELD(width)               /* pixels in a row */                                                                                 \
  FIELD(channels)                                                                                                                  \
  FIELD(in_offset)           /* the first pixel of the input */                                                                    \
  FIELD(in_step_x)                                                                                                                 \
  FIELD(in_step_y)                                                                                                                 \
  FIELD(in_plane)            /* from one channel's plane to the next's; 0: an image of pixels */                                   \
  FIELD(in_f32)              /* 1: the input is f32, not u8 */                                                                     \
  FIELD(multiplier)          /* f32 */                                                                                             \
  FIELD(offset)              /* f32 */                                                                                             \
  FIELD(squares)             /* rows of squares, 0: the result is an image of pixels */                                            \
  FIELD(block_height)        /* rows a workgroup does, of pixels or of squares */                                                  \
  FIELD(out_offset)          /* the first pixel of the result */                                                                   \
  FIELD(out_step_x)                                                                                                                \
  FIELD(out_step_y)                                                                                                                \
  FIELD(out_f32)             /* 1: the result is f32, not u8 */                                                                    \
  FIELD(frame_top)           /* pixels round the result that are set to frame_fill */                                              \
  FIELD(frame_left)                                                                                                                \
  FIELD(frame_bottom)                                                                                                              \
  FIELD(frame_right)                                                                                                               \
  FIELD(frame_fill)          /* a byte */                                                                                          \
  FIELD(residual_offset)     /* the first pixel of the residual */                                                                 \
  FIELD(residual_step_x)                                                                                                           \
  FIELD(residual_step_y)                                                                                                           \
  FIELD(residual_f32)        /* 1: the residual is f32, not u8 */                                                                  \
  FIELD(residual_multiplier) /* f32 */                                                                                             \
  FIELD(low)                 /* f32: clamp of the result */                                                                        \
  FIELD(high)                /* f32 */

#define QMAP_ENUM(name) QMAP_##name,
enum { QMAP_FIELDS(QMAP_ENUM) QMAP_COUNT };

#endif
