// The parameters of a quantized convolution, pointwise or fully connected layer, as one constant of 32-bit words; f32 fields hold
// the bits. `ukernels/params.py` reads the order of the fields from this file: it is the only place where it is written down.
//
// The convolution is a matrix product of `rows` output pixels with the filters. A row's operands are segments of consecutive bytes of the
// input, in the table at `segments_offset`: each an offset from the pixel's first byte and a length, a multiple of 4. A segment may repeat
// bytes of the one before it, whose weights are then 0. Offsets and steps are in bytes.
#ifndef QUANTUNE_QCONV_PARAMS_H_
#define QUANTUNE_QCONV_PARAMS_H_

#include "image_params.h"

#define QCONV_FIELDS(FIELD)                                                                                                                \
  FIELD(rows)                /* output pixels */                                                                                           \
  FIELD(out_width)           /* output pixels in a row of the image */                                                                     \
  FIELD(in_offset)           /* operands of the first output pixel */                                                                      \
  FIELD(in_step_x)           /* from one output pixel's operands to the next's */                                                          \
  FIELD(in_step_y)           /* from one output row's operands to the next's */                                                            \
  FIELD(segments)                                                                                                                          \
  FIELD(gathered)            /* bytes a segment holds when these are not a multiple of 4: segments are then copied side by side, else 0 */ \
  FIELD(depth)               /* bytes of one row's operands in the order of the weights, a multiple of 4 */                                \
  FIELD(filters)             /* output channels of a group */                                                                              \
  FIELD(group_tiles)         /* filters / 16, rounded up */                                                                                \
  FIELD(group_bytes)         /* from one group's operands to the next's */                                                                 \
  FIELD(tiles)               /* of all groups */                                                                                           \
  FIELD(block_rows)          /* rows (AMX: tiles of rows) a workgroup (x) does */                                                          \
  FIELD(block_tiles)         /* tiles a workgroup (y) does */                                                                              \
  FIELD(tiles_inner)         /* 1: all tiles of a few rows before the next rows (small panels), 0: the other way round */                  \
  FIELD(copied)              /* AMX, and so are the next: 1: operands are gathered before the product */                                   \
  FIELD(chunk)               /* bytes of every segment, or of the pieces that gathered operands are cut to */                              \
  FIELD(tile_rows)           /* pixels of a tile, at most 16 */                                                                            \
  FIELD(line_length)         /* pixels that lie evenly apart: of an image row, or of the whole image, those between rows included */       \
  FIELD(line_tiles)          /* line_length / tile_rows, rounded up */                                                                     \
  FIELD(row_tiles)           /* of all lines */                                                                                            \
  FIELD(strips)              /* tiles of pixels that are done at once: 2 with two tiles of columns, 4 with one */                          \
  FIELD(passing)             /* AMX: weights do not stay in L1 until the next tiles of pixels, and leave the operands their place there */ \
  FIELD(flat_width)          /* pixels from one image row to the next in a line */                                                         \
  FIELD(bounded)             /* 1: results are u8, and before they are clamped none leaves the range of i32 */                             \
  RESULT_FIELDS(FIELD)                                                                                                                     \
  RESIDUAL_FIELDS(FIELD)                                                                                                                   \
  EPILOGUE_FIELDS(FIELD)                                                                                                                   \
  FIELD(segments_offset)     /* i32[segments][2]: offset, length */                                                                        \
  FIELD(schedule_offset)     /* i32[tiles][blocks], of that block's flush schedule; 0: there is none */                                    \
  FIELD(scale_offset)        /* f32[tiles][2][16]: multipliers, then offsets */                                                            \
  FIELD(bits)                /* of a stored weight: 8, or 4, see qconv_panels.h; AMX: 4 to 8 */                                            \
  FIELD(blocks)              /* of a panel that is too deep to be unpacked at once or to stay in L1, else 1 */                             \
  FIELD(block_segments)      /* of a block */                                                                                              \
  FIELD(panel_bytes)         /* of a tile's weights and what goes with them */                                                             \
  FIELD(weight_offset)       /* panels: s8[depth / 4][16][4], or what the instruction set wants, see layouts.py */

#define QCONV_ENUM(name) QCONV_##name,
enum { QCONV_FIELDS(QCONV_ENUM) QCONV_COUNT };

#endif
