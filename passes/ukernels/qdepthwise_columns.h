// A strip of a depthwise convolution in vectors. An instruction set's qdepthwise.c defines
//   BLOCK, TAPS, Weight           as the driver wants them
//   Vec, Operand                  a vector of i32 sums; what is multiplied for one
//   VECS                          vectors of a block's sums
//   interleave(taps, count, part, extent, x)   loads `count` taps of a block, as many weights of a channel side by side as a step has
//   multiply_add(sum, x, weights)
//   Bounds, bounds_of(finish)     the clamp as vectors of bytes
//   store_quick(sums, scales, bounds, out, part, extent)
//   store_in_order(sums, i32 *)   the sums in the order of channels
//   SPLITS                        1 if it can do blocks of half as many channels of two rows
// `part`: WHOLE blocks; PARTIAL ones, which have only `extent` channels; SPLIT ones, whose second row lies `extent` bytes on. It is a
// constant wherever these are inlined, as is everything else called so below.
//
// Neighbouring windows share columns: a column that has been loaded and interleaved is multiplied for every output pixel that sees it. The
// sums of these pixels take turns in registers.
#include "qdepthwise_strip.h"

OUTLINE void store_slowly(const Strip *s, const i32 *sums, i64 pixel) {
  const i64 out_size = s->finish->out_f32 ? 4 : 1, residual_size = s->finish->residual_f32 ? 4 : 1;
  for (i64 j = 0; j < s->channels; j += 16) {
    u8 *to = s->out + pixel * s->out_step + j * out_size;
    const u8 *other = s->residual + pixel * s->residual_step + j * residual_size;
    store_tile(sums + j, s->scales + 2 * j, s->finish, s->residual ? &other : 0, &to, smaller(16, s->channels - j), 1);
  }
}

// Any window and any epilogue: all taps of one pixel after the other.
INLINE void do_each(const int part, const Strip *s) {
  const Bounds bounds = bounds_of(s->finish);
  for (i64 pixel = 0; pixel < s->pixels; pixel++) {
    const u8 *window = s->input + pixel * s->in_step;
    const Weight *w = s->weights;
    Vec sums[VECS] = {};
    for (i64 step = 0; step < s->params[QDEPTHWISE_steps]; step++, w += BLOCK * TAPS) {
      const u8 *taps[TAPS];
      for (int i = 0; i < TAPS; i++) taps[i] = window + s->taps[step * TAPS + i];
      Operand x[VECS];
      interleave(taps, TAPS, part, s->channels, x);
      for (int v = 0; v < VECS; v++) sums[v] = multiply_add(sums[v], x[v], w + v * (BLOCK * TAPS / VECS));
    }
    if (s->params[QDEPTHWISE_quick]) {
      store_quick(sums, s->scales, &bounds, s->out + pixel * s->out_step, part, s->channels);
    } else {
      i32 ordered[BLOCK] __attribute__((aligned(64)));
      store_in_order(sums, ordered);
      store_slowly(s, ordered, pixel);
    }
  }
}

// A square window, column by column, and the quick epilogue. `size`, `stride` and `part` (WHOLE or SPLIT) are constants.
INLINE void do_columns(const int size, const int stride, const int part, const Strip *s) {
  const int turns = (size + stride - 1) / stride;  // output pixels that see a column, at most
  const int steps = (size + TAPS - 1) / TAPS;      // of a column
  const i64 column_step = s->params[QDEPTHWISE_column_step], row_step = s->params[QDEPTHWISE_row_step];
  const i64 pixels = s->pixels, out_step = s->out_step, below_in = s->below_in, below_out = s->below_out;
  const Weight *weights = s->weights;
  const float *scales = s->scales;
  const Bounds bounds = bounds_of(s->finish);
  const u8 *column = s->input;
  u8 *out = s->out;
  Vec sums[5][VECS] = {};
  for (i64 first = 0;; first += turns) {
#pragma clang loop unroll(full)
    for (int turn = 0; turn < turns; turn++) {
      for (int v = 0; v < VECS; v++) sums[turn][v] = (Vec){};
#pragma clang loop unroll(full)
      for (int j = 0; j < stride; j++, column += column_step) {
        __asm__("" : : : "memory");  // keeps LLVM from holding weights for the next column in registers that it does not have
#pragma clang loop unroll(full)
        for (int step = 0; step < steps; step++) {
          const int count = size - step * TAPS < TAPS ? size - step * TAPS : TAPS;
          const u8 *taps[TAPS];
          Operand x[VECS];
          for (int i = 0; i < count; i++) taps[i] = column + (step * TAPS + i) * row_step;
          interleave(taps, count, part, below_in, x);
#pragma clang loop unroll(full)
          for (int back = 0; back < turns; back++) {
            if (j + back * stride >= size) continue;
            const Weight *w = weights + ((j + back * stride) * steps + step) * BLOCK * TAPS;
            Vec *sum = sums[(turn - back + turns) % turns];
            for (int v = 0; v < VECS; v++) sum[v] = multiply_add(sum[v], x[v], w + v * (BLOCK * TAPS / VECS));
          }
        }
        // The last column of the window that began `turns - 1` pixels ago.
        const i64 pixel = first + turn - (turns - 1);
        if (j != (size - 1) % stride || pixel < 0) continue;
        store_quick(sums[(turn + 1) % turns], scales, &bounds, out, part, below_out);
        if (pixel == pixels - 1) return;
        out += out_step;
      }
    }
  }
}

OUTLINE void do_any(const Strip *s) { do_each(WHOLE, s); }
OUTLINE void do_partial(const Strip *s) { do_each(PARTIAL, s); }
#define COLUMNS(name, part)                                                         \
  SPILLING void name##_3_1(const Strip *s) { do_columns(3, 1, part, s); }          \
  SPILLING void name##_3_2(const Strip *s) { do_columns(3, 2, part, s); }          \
  SPILLING void name##_5_1(const Strip *s) { do_columns(5, 1, part, s); }          \
  SPILLING void name##_5_2(const Strip *s) { do_columns(5, 2, part, s); }          \
  INLINE void name(const Strip *s) {                                              \
    if (s->params[QDEPTHWISE_window] == 3)                                        \
      s->params[QDEPTHWISE_stride] == 1 ? name##_3_1(s) : name##_3_2(s);          \
    else                                                                          \
      s->params[QDEPTHWISE_stride] == 1 ? name##_5_1(s) : name##_5_2(s);          \
  }
COLUMNS(do_whole, WHOLE)
#if SPLITS
COLUMNS(do_split, SPLIT)
#endif

INLINE void do_strip(const Strip *s) {
#if SPLITS
  if (s->split) return do_split(s);
#endif
  if (s->channels < BLOCK)
    do_partial(s);
  else if (s->params[QDEPTHWISE_window] && s->params[QDEPTHWISE_quick])
    do_whole(s);
  else
    do_any(s);
}
