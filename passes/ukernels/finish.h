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

#endif
