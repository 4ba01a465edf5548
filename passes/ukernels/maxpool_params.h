// The parameters of maximum pooling, as qconv_params.h has them for convolutions. The input is padded already.
#ifndef QUANTUNE_MAXPOOL_PARAMS_H_
#define QUANTUNE_MAXPOOL_PARAMS_H_

#include "image_params.h"

#define MAXPOOL_FIELDS(FIELD)                                                                      \
  FIELD(height)        /* rows of the result */                                                    \
  FIELD(width)         /* its columns */                                                           \
  FIELD(pixel_bytes)   /* of all its channels */                                                   \
  FIELD(in_offset)     /* the first output pixel's window */                                       \
  FIELD(in_step_x)     /* from one output pixel's window to the next's */                          \
  FIELD(in_step_y)     /* from one output row's windows to the next's */                           \
  FIELD(window_height)                                                                             \
  FIELD(window_width)                                                                              \
  FIELD(column_step)   /* from one tap to the next in its row */                                   \
  FIELD(row_step)      /* from one tap to the next in its column */                                \
  FIELD(block_height)  /* rows of the result a workgroup does */                                   \
  RESULT_FIELDS(FIELD)

#define MAXPOOL_ENUM(name) MAXPOOL_##name,
enum { MAXPOOL_FIELDS(MAXPOOL_ENUM) MAXPOOL_COUNT };

#endif
