// The parameters of a quantized depthwise convolution, as qconv_params.h has them for the others.
//
// Channels go in blocks, whose size the instruction set chooses; the last block ends with the last channel and may overlap the one before
// it. A block's window is walked in steps of a few taps. Where the window is 3x3 or 5x5, not dilated in width and has a stride of 1 or 2
// there, a step is a part of a column of the window, from its top down, and the columns follow each other; else steps are the taps in the
// order of memory. The table of taps holds for both. A step that is not full repeats a tap, whose second weight is 0.
// `ukernels/pack_depthwise.py` has each instruction set's order of channels in a block.
#ifndef QUANTUNE_QDEPTHWISE_PARAMS_H_
#define QUANTUNE_QDEPTHWISE_PARAMS_H_

#include "image_params.h"

#define QDEPTHWISE_FIELDS(FIELD)                                                                                                   \
  FIELD(height)              /* rows of the result */                                                                              \
  FIELD(width)               /* its columns */                                                                                     \
  FIELD(channels)                                                                                                                  \
  FIELD(in_offset)           /* the first output pixel's window */                                                                 \
  FIELD(in_step_x)           /* from one output pixel's window to the next's */                                                    \
  FIELD(in_step_y)           /* from one output row's windows to the next's */                                                     \
  FIELD(column_step)         /* from one tap to the next in its row */                                                             \
  FIELD(row_step)            /* from one tap to the next in its column */                                                          \
  FIELD(window)              /* 3 or 5: a square window whose steps are columns; else 0 */                                         \
  FIELD(stride)              /* of the window in width */                                                                          \
  FIELD(split)               /* 1: the last block has half as many channels of two rows at once, of which the second lies below */ \
  FIELD(steps)                                                                                                                     \
  FIELD(blocks)              /* of channels */                                                                                     \
  FIELD(block_weights)       /* from one block's weights to the next's: 0 where all have the same */                               \
  FIELD(block_height)        /* rows of the result a workgroup does */                                                             \
  FIELD(quick)               /* 1: u8 results without a residual that fit 32 bits before the clamp; see scale_offset */            \
  RESULT_FIELDS(FIELD)                                                                                                             \
  RESIDUAL_FIELDS(FIELD)                                                                                                           \
  EPILOGUE_FIELDS(FIELD)                                                                                                           \
  FIELD(taps_offset)         /* i32[steps][taps of a step]: byte offsets from the window's first tap */                            \
  FIELD(scale_offset)        /* quick: f32[blocks][2][block] in the block's order; else f32[blocks][block / 16][2][16] in order */ \
  FIELD(weight_offset)       /* [blocks][steps][block][taps of a step] */

#define QDEPTHWISE_ENUM(name) QDEPTHWISE_##name,
enum { QDEPTHWISE_FIELDS(QDEPTHWISE_ENUM) QDEPTHWISE_COUNT };

#endif
