// The parameters of moving channels: a pixel of the result has the bytes of `runs` runs of the input's, dealt out in turn. One run is a
// plain copy.
#ifndef QUANTUNE_MOVE_PARAMS_H_
#define QUANTUNE_MOVE_PARAMS_H_

#include "image_params.h"

#define MOVE_FIELDS(FIELD)                         \
  FIELD(height)                                    \
  FIELD(width)                                     \
  FIELD(runs)                                      \
  FIELD(length)        /* bytes of a run */        \
  FIELD(in_offset)     /* the first pixel */       \
  FIELD(in_step_x)                                 \
  FIELD(in_step_y)                                 \
  FIELD(block_height)  /* rows a workgroup does */ \
  RESULT_FIELDS(FIELD)                             \
  FIELD(starts_offset) /* i32[runs]: where each run begins in a pixel */

#define MOVE_ENUM(name) MOVE_##name,
enum { MOVE_FIELDS(MOVE_ENUM) MOVE_COUNT };

#endif
