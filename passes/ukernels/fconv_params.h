// The parameters of an f32 convolution, pointwise or fully connected layer, as qconv_params.h has them for quantized ones.
//
// The convolution is a matrix product of `rows` output pixels with the filters. A row's operands are segments of consecutive f32 of the
// input, at most SEGMENT of pack_fconv.py, in the table at `segments_offset`: each a byte offset from the pixel's first operand and a length
// in bytes. Offsets and steps are in bytes, too. Filters go in tiles of TILE_COLUMNS, which the instruction set's fconv.c defines.
#ifndef QUANTUNE_FCONV_PARAMS_H_
#define QUANTUNE_FCONV_PARAMS_H_

#include "image_params.h"

#define FCONV_FIELDS(FIELD)                                                                                                        \
  FIELD(rows)                /* output pixels */                                                                                   \
  FIELD(out_width)           /* output pixels in a row of the image */                                                             \
  FIELD(in_offset)           /* operands of the first output pixel */                                                              \
  FIELD(in_step_x)           /* from one output pixel's operands to the next's */                                                  \
  FIELD(in_step_y)           /* from one output row's operands to the next's */                                                    \
  FIELD(segments)                                                                                                                  \
  FIELD(depth)               /* f32 of one row's operands */                                                                       \
  FIELD(filters)             /* output channels of a group */                                                                      \
  FIELD(group_tiles)         /* filters / TILE_COLUMNS, rounded up */                                                              \
  FIELD(group_bytes)         /* from one group's operands to the next's */                                                         \
  FIELD(tiles)               /* of all groups */                                                                                   \
  FIELD(block_rows)          /* rows a workgroup (x) does */                                                                       \
  FIELD(block_tiles)         /* tiles a workgroup (y) does */                                                                      \
  FIELD(tiles_inner)         /* 1: all tiles of a few rows before the next rows (small panels), 0: the other way round */          \
  RESULT_FIELDS(FIELD)                                                                                                             \
  RESIDUAL_FIELDS(FIELD)                                                                                                           \
  FIELD(low)                 /* f32: clamp of the result */                                                                        \
  FIELD(high)                /* f32 */                                                                                             \
  FIELD(segments_offset)     /* i32[segments][2]: offset, length */                                                                \
  FIELD(bias_offset)         /* f32[tiles][TILE_COLUMNS] */                                                                        \
  FIELD(weight_offset)       /* f32[tiles][depth][TILE_COLUMNS] */

#define FCONV_ENUM(name) FCONV_##name,
enum { FCONV_FIELDS(FCONV_ENUM) FCONV_COUNT };

#endif
