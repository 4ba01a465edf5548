// The epilogue of a whole tile, see ../store_tile.h for the arithmetic.
#include "../store_tile_avx512.h"

INLINE void store_u8(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, __mmask16 columns,
                     i64 count) {
  for (i64 i = 0; i < count; i += 4) {
    const i32 *rows[4];
    const u8 *others[4];
    u8 *to[4];
    for (i64 r = 0; r < 4; r++) {  // rows beyond the count repeat the last one
      const i64 at = smaller(i + r, count - 1);
      rows[r] = sums + at * 16, to[r] = out[at];
      if (residual) others[r] = residual[at];
    }
    store_four(rows, scales, f, residual ? others : 0, to, columns);
  }
}

OUTLINE void store_tile(const i32 *sums, const float *scales, const Finish *f, const u8 *const *residual, u8 *const *out, i64 columns,
                        i64 count) {
  const __mmask16 mask = (__mmask16)((1u << columns) - 1);
  if (f->out_f32)
    for (i64 i = 0; i < count; i++) store_f32(sums + i * 16, scales, f, residual ? residual[i] : 0, out[i], mask);
  else if (residual)
    store_u8(sums, scales, f, residual, out, mask, count);
  else
    store_u8(sums, scales, f, 0, out, mask, count);
}
