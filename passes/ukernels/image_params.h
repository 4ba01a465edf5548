// Parameters that kernels share. Their headers list them as RESULT_FIELDS(FIELD) and so on; `params.py` follows them here.
#ifndef QUANTUNE_IMAGE_PARAMS_H_
#define QUANTUNE_IMAGE_PARAMS_H_

// Of all kernels: where the result lies. Offsets and steps are in bytes.
#define RESULT_FIELDS(FIELD)                                                          \
  FIELD(out_offset)          /* the first pixel of the result */                      \
  FIELD(out_step_x)                                                                   \
  FIELD(out_step_y)                                                                   \
  FIELD(frame_top)           /* pixels round the result that are set to frame_fill */ \
  FIELD(frame_left)                                                                   \
  FIELD(frame_bottom)                                                                 \
  FIELD(frame_right)                                                                  \
  FIELD(frame_fill)          /* a byte */

// Of those that may add a residual.
#define RESIDUAL_FIELDS(FIELD)                                                        \
  FIELD(residual_offset)     /* the first pixel of the residual */                    \
  FIELD(residual_step_x)                                                              \
  FIELD(residual_step_y)

// Of those with an integer epilogue, see finish.h.
#define EPILOGUE_FIELDS(FIELD)                                                        \
  FIELD(out_f32)             /* 1: the result is f32, not u8 */                       \
  FIELD(residual_f32)        /* 1: the residual is f32, not u8 */                     \
  FIELD(residual_multiplier) /* f32 */                                                \
  FIELD(low)                 /* f32: clamp of the result */                           \
  FIELD(high)                /* f32 */

#endif
