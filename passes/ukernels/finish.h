// What the epilogue of every quantized kernel knows beside the sums and the scales.
#ifndef QUANTUNE_FINISH_H_
#define QUANTUNE_FINISH_H_

#include "common.h"

typedef struct {
  float residual_multiplier;
  float low, high;  // whole numbers when the result is u8
  int out_f32;
  int residual_f32;
} Finish;

#define FINISH(FAMILY, p)                                                                                                 \
  ((Finish){as_f32(p[FAMILY##_residual_multiplier]), as_f32(p[FAMILY##_low]), as_f32(p[FAMILY##_high]), p[FAMILY##_out_f32], \
            p[FAMILY##_residual_f32]})

#endif
