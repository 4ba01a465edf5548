// The epilogue of sums that wait, a tile at a time.
#ifndef QUANTUNE_AMX_EPILOGUE_H_
#define QUANTUNE_AMX_EPILOGUE_H_

#include "../store_tile_avx512.h"
#include "convolution.h"

INLINE void store_strip(const i32 *sums, const float *scales, const Finish *f, const u8 *residual, u8 *out, const Strip *s, i64 rows,
                        __mmask16 columns) {
  u8 nowhere[64];
  for (i64 first = 0; first < rows; first += 4) {
    const i32 *from[4];
    const u8 *other[4];
    u8 *to[4];
    for (i64 i = 0; i < 4; i++) {
      from[i] = sums + (first + i) * 16, other[i] = residual + s->residuals[first + i];
      to[i] = s->outs[first + i] < 0 ? nowhere : out + s->outs[first + i];
    }
    if (f->out_f32)
      for (i64 i = 0; i < 4; i++) store_f32(from[i], scales, f, residual ? other[i] : 0, to[i], columns);
    else
      store_four(from, scales, f, residual ? other : 0, to, columns);
  }
}

OUTLINE void finish_tile(Convolution *c) {
  const i32 *p = c->params;
  Pending *d = &c->pending;
  const int i = d->columns > 1 ? d->next >> 1 : d->next, j = d->columns > 1 ? d->next & 1 : 0;
  d->next++;
  const i64 channel = d->channel + 16 * j, columns = d->filters - 16 * j;
  const float *scales = d->scales + 32 * j;
  u8 *out = c->out + channel * (p[QCONV_out_f32] ? 4 : 1);
  const u8 *residual = c->residual ? c->residual + channel * (p[QCONV_residual_f32] ? 4 : 1) : 0;
  const i32 *sums = d->sums[2 * i + j];
  if (p[QCONV_out_f32] || columns < 16)
    store_strip(sums, scales, &c->finish, residual, out, &d->strips[i], p[QCONV_tile_rows], (__mmask16)((1u << smaller(16, columns)) - 1));
  else if (residual)
    store_strip(sums, scales, &c->finish, residual, out, &d->strips[i], p[QCONV_tile_rows], 0xFFFF);
  else
    store_strip(sums, scales, &c->finish, 0, out, &d->strips[i], p[QCONV_tile_rows], 0xFFFF);
}

INLINE void finish_rest(Convolution *c) {
  while (c->pending.next < c->pending.count) finish_tile(c);
}

#endif
