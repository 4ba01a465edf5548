// The parameters of elementwise arithmetic with one scale for all channels: quantization, requantization, addition. As qconv_params.h has
// them for convolutions.
//
//   v = fma(in, multiplier, offset), with a residual v = fma(residual, residual_multiplier, v); then clamp and round half to even, or f32
//
// The input is u8 or f32, an image of pixels or (f32 without a residual, u8 results) of planes, one a channel, as torch has it.
// The result may be squares (without a residual, u8, at most 4 channels): the framed image, whose two by two pixels become one.
#ifndef QUANTUNE_QMAP_PARAMS_H_
#define QUANTUNE_QMAP_PARAMS_H_

#include "image_params.h"

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
  RESULT_FIELDS(FIELD)                                                                                                             \
  RESIDUAL_FIELDS(FIELD)                                                                                                           \
  EPILOGUE_FIELDS(FIELD)

#define QMAP_ENUM(name) QMAP_##name,
enum { QMAP_FIELDS(QMAP_ENUM) QMAP_COUNT };

#endif
