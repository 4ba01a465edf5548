// Moving channels: copies and shuffles. Plain C with vectors of 16 bytes, which are registers everywhere; an instruction set's move.c
// defines SYMBOL and includes this file.
#include "common.h"
#include "image.h"
#include "move_params.h"

typedef u8 Bytes __attribute__((vector_size(16)));

INLINE Bytes load_bytes(const u8 *p) {
  Bytes v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// 16 bytes of each run: a0 b0 a1 b1 …
INLINE void deal_two(const u8 *a, const u8 *b, u8 *out) {
  const Bytes x = load_bytes(a), y = load_bytes(b);
  const Bytes low = __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const Bytes high = __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  __builtin_memcpy(out, &low, sizeof low);
  __builtin_memcpy(out + 16, &high, sizeof high);
}

INLINE void move_pixel(const u8 *in, u8 *out, const i32 *starts, i64 runs, i64 length) {
  if (runs == 1) {
    copy_bytes(out, in + starts[0], length);
  } else if (runs == 2 && length >= 16) {
    // The last step ends with the runs.
    for (i64 i = 0;; i = smaller(i + 16, length - 16)) {
      deal_two(in + starts[0] + i, in + starts[1] + i, out + 2 * i);
      if (i == length - 16) return;
    }
  } else {
    for (i64 run = 0; run < runs; run++)
      for (i64 i = 0; i < length; i++) out[i * runs + run] = in[starts[run] + i];
  }
}

void SYMBOL(move)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) {
  (void)y;
  const i32 *p = (const i32 *)(blob + blob_offset);
  const i32 *starts = (const i32 *)((const u8 *)p + p[MOVE_starts_offset]);
  const u8 *in = input + input_offset + p[MOVE_in_offset];
  const Image result = IMAGE(MOVE, p, out);
  const Frame frame = FRAME(MOVE, p, p[MOVE_height], p[MOVE_width], p[MOVE_runs] * p[MOVE_length]);
  const i64 top = x * p[MOVE_block_height], bottom = smaller(top + p[MOVE_block_height], p[MOVE_height]);
  out += out_offset;
  fill_frame(out, &result, &frame, top, bottom);
  for (i64 row = top; row < bottom; row++) {
    const u8 *from = in + row * p[MOVE_in_step_y];
    u8 *to = out + result.offset + row * result.step_y;
    for (i64 i = 0; i < p[MOVE_width]; i++, from += p[MOVE_in_step_x], to += result.step_x)
      move_pixel(from, to, starts, p[MOVE_runs], p[MOVE_length]);
  }
}
