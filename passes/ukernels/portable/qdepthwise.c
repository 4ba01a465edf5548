// Quantized depthwise convolution in plain C: the reference, and the kernel of every other target.
#define SYMBOL(name) quantune_##name##_portable
#define BLOCK 16
#define TAPS 1
#include "../common.h"
#include "../qdepthwise_strip.h"
#include "../store_tile.h"

typedef s8 Weight;

OUTLINE void do_strip(const Strip *s) {
  for (i64 pixel = 0; pixel < s->pixels; pixel++) {
    const u8 *window = s->input + pixel * s->in_step, *other = s->residual + pixel * s->residual_step;
    u8 *to = s->out + pixel * s->out_step;
    const s8 *w = s->weights;
    i32 sums[BLOCK] = {0};
    for (i64 tap = 0; tap < s->params[QDEPTHWISE_steps]; tap++, w += BLOCK)
      for (i64 j = 0; j < s->channels; j++) sums[j] += window[s->taps[tap] + j] * w[j];
    store_tile(sums, s->scales, s->finish, s->residual ? &other : 0, &to, s->channels, 1);
  }
}

#include "../qdepthwise_driver.h"
