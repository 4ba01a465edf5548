// The parameters of a quantized depthwise convolution, as qconv_params.h has them for the others.
//
// Output pixel (y, x) starts at input byte y * step_y + x * step_x; its window's taps lie at the byte offsets of the table. Channels go
// in blocks of 16; the last block ends with the last channel and may overlap the one before it.
#ifndef QUANTUNE_QDEPTHWISE_PARAMS_H_
#define QUANTUNE_QDEPTHWISE_PARAMS_H_

#define QDEPTHWISE_FIELDS(FIELD)                                                                                                   \
  FIELD(height)              /* rows of the result */                                                                              \
  FIELD(width)               /* its columns */                                                                                     \
  FIELD(channels)                                                                                                                  \
  FIELD(step_x)              /* input bytes from one output pixel to the next */                                                   \
  FIELD(step_y)              /* input bytes from one output row to the next */                                                     \
  FIELD(pairs)               /* taps go in pairs; the last may be half empty */                                                    \
  FIELD(block_height)        /* rows of the result a workgroup does */                                                             \
  FIELD(blocks)              /* of 16 channels */                                                                                  \
  FIELD(out_f32)             /* 1: the result is f32, not u8 */                                                                    \
  FIELD(residual_multiplier) /* f32 */                                                                                             \
  FIELD(low)                 /* f32 */                                                                                             \
  FIELD(high)                /* f32 */                                                                                             \
  FIELD(taps_offset)         /* byte offset of i32[pairs][2]: the taps' byte offsets */                                            \
  FIELD(scale_offset)        /* byte offset of f32[blocks][2][16]: multipliers, then offsets */                                    \
  FIELD(weight_offset)       /* byte offset of s16[blocks][pairs][32]: both taps of channels 0-3, 8-11, then 4-7, 12-15 */

#define QDEPTHWISE_ENUM(name) QDEPTHWISE_##name,
enum { QDEPTHWISE_FIELDS(QDEPTHWISE_ENUM) QDEPTHWISE_COUNT };

#endif
