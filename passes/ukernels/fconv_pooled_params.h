// The constant of an f32 convolution whose results are pooled at once: those of a convolution and of maximum pooling, and how they meet.
//
// The convolution's own result fields are not used. The pool's input is a workgroup's ring: its window's rows, each as wide as the
// padded image that the pool reads.
#ifndef QUANTUNE_FCONV_POOLED_PARAMS_H_
#define QUANTUNE_FCONV_POOLED_PARAMS_H_

#define FCONV_POOLED_FIELDS(FIELD)                                                                 \
  FIELD(top)            /* rows of padding above the convolution's result */                       \
  FIELD(left)           /* pixels of padding left of it */                                         \
  FIELD(width)          /* pixels of a row in the ring */                                          \
  FIELD(ring_bytes)     /* of one workgroup */                                                     \
  FIELD(conv_offset)    /* as in fconv_params.h */                                                 \
  FIELD(pool_offset)    /* as in maxpool_params.h */

#define FCONV_POOLED_ENUM(name) FCONV_POOLED_##name,
enum { FCONV_POOLED_FIELDS(FCONV_POOLED_ENUM) FCONV_POOLED_COUNT };

#endif
