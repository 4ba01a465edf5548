// The parameters of an f32 depthwise convolution, as fconv_params.h has them for the others. Offsets and steps are in bytes.
//
// Channels go in blocks of LANES, which the instruction set's fdepthwise.c defines; the last block ends with the last channel and may
// overlap the one before it. Fewer channels than LANES are one block, filled up with zeros.
#ifndef QUANTUNE_FDEPTHWISE_PARAMS_H_
#define QUANTUNE_FDEPTHWISE_PARAMS_H_

#include "image_params.h"

#define FDEPTHWISE_FIELDS(FIELD)                                                                                                   \
  FIELD(height)              /* rows of the result */                                                                              \
  FIELD(width)               /* its columns */                                                                                     \
  FIELD(channels)                                                                                                                  \
  FIELD(in_offset)           /* the window of the first output pixel */                                                            \
  FIELD(in_step_x)           /* from one output pixel's window to the next's */                                                    \
  FIELD(in_step_y)           /* from one output row's windows to the next's */                                                     \
  FIELD(taps)                                                                                                                      \
  FIELD(blocks)                                                                                                                    \
  FIELD(block_height)        /* rows of the result a workgroup does */                                                             \
  FIELD(block_channels)      /* blocks a workgroup (y) does, an even number */                                                     \
  RESULT_FIELDS(FIELD)                                                                                                             \
  RESIDUAL_FIELDS(FIELD)                                                                                                           \
  FIELD(low)                 /* f32: clamp of the result */                                                                        \
  FIELD(high)                /* f32 */                                                                                             \
  FIELD(taps_offset)         /* i32[taps]: byte offsets from the window's first tap */                                             \
  FIELD(bias_offset)         /* f32[blocks][LANES] */                                                                              \
  FIELD(weight_offset)       /* f32[blocks][taps][LANES] */

#define FDEPTHWISE_ENUM(name) FDEPTHWISE_##name,
enum { FDEPTHWISE_FIELDS(FDEPTHWISE_ENUM) FDEPTHWISE_COUNT };

#endif
