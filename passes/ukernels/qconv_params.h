// The parameters of a quantized convolution, pointwise or fully connected layer, as one constant of 32-bit words; f32 fields hold
// the bits. `ukernels/params.py` reads the order of the fields from this file: it is the only place where it is written down.
//
// The convolution is a matrix product of `rows` output pixels with `filters` columns. A row's operands are `runs` stretches of
// `run_bytes` consecutive bytes of the padded NHWC input, `run_stride` bytes apart; the first output pixel starts at byte 0.
#ifndef QUANTUNE_QCONV_PARAMS_H_
#define QUANTUNE_QCONV_PARAMS_H_

#define QCONV_FIELDS(FIELD)                                                                                                        \
  FIELD(rows)                /* output pixels */                                                                                   \
  FIELD(out_width)           /* output pixels in a row of the image */                                                            \
  FIELD(step_x)              /* input bytes from one output pixel to the next */                                                   \
  FIELD(step_y)              /* input bytes from one output row to the next */                                                     \
  FIELD(runs)                                                                                                                      \
  FIELD(run_bytes)                                                                                                                 \
  FIELD(run_stride)                                                                                                                \
  FIELD(depth)               /* bytes of one row's operands in the order of the weights, a multiple of 4 */                        \
  FIELD(gathered)            /* 1: operands are first copied side by side, because run_bytes is no multiple of 4 */                \
  FIELD(filters)             /* output channels */                                                                                 \
  FIELD(tiles)               /* filters / 16, rounded up */                                                                        \
  FIELD(block_rows)          /* rows a workgroup (x) does */                                                                       \
  FIELD(block_tiles)         /* tiles a workgroup (y) does */                                                                      \
  FIELD(tiles_inner)         /* 1: all tiles of a few rows before the next rows (small panels), 0: the other way round */          \
  FIELD(out_f32)             /* 1: the result is f32, not u8 */                                                                    \
  FIELD(residual_multiplier) /* f32 */                                                                                             \
  FIELD(low)                 /* f32: clamp of the result */                                                                        \
  FIELD(high)                /* f32 */                                                                                             \
  FIELD(schedule_offset)     /* byte offset of i32[tiles], each the byte offset of that tile's flush schedule */                   \
  FIELD(scale_offset)        /* byte offset of f32[tiles][2][16]: multipliers, then offsets */                                     \
  FIELD(weight_offset)       /* byte offset of s8[tiles][depth / 4][16][4] */

#define QCONV_ENUM(name) QCONV_##name,
enum { QCONV_FIELDS(QCONV_ENUM) QCONV_COUNT };

#endif
