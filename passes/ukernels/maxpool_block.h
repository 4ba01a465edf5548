// Maximum pooling of blocks of BYTES bytes of a pixel; maxpool_row.h includes this file once for each size.
#define NAME(name) JOIN(name, BYTES)

typedef Element NAME(Block) __attribute__((vector_size(BYTES)));
typedef __typeof__((NAME(Block)){} == (NAME(Block)){}) NAME(Mask);

// b where the mask says so, else a: C has no ?: for vectors.
INLINE NAME(Block) NAME(choose)(NAME(Mask) mask, NAME(Block) b, NAME(Block) a) {
  return (NAME(Block))(((NAME(Mask))b & mask) | ((NAME(Mask))a & ~mask));
}

// NaN if either is.
INLINE NAME(Block) NAME(greater)(NAME(Block) a, NAME(Block) b) {
  return NAME(choose)(b != b, b, NAME(choose)(b > a, b, a));
}

INLINE NAME(Block) NAME(load_block)(const u8 *p) {
  NAME(Block) v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

INLINE NAME(Block) NAME(column_maximum)(const u8 *in, i64 row_step, i64 count) {
  NAME(Block) most = NAME(load_block)(in);
  for (i64 i = 1; i < count; i++) most = NAME(greater)(most, NAME(load_block)(in + i * row_step));
  return most;
}

// One block of channels of `count` pixels of a row.
OUTLINE void NAME(pool_blocks)(const i32 *p, const u8 *in, u8 *out, i64 count) {
  const i64 column_step = p[MAXPOOL_column_step], row_step = p[MAXPOOL_row_step];
  for (i64 x = 0; x < count; x++, in += p[MAXPOOL_in_step_x], out += p[MAXPOOL_out_step_x]) {
    NAME(Block) most = NAME(column_maximum)(in, row_step, p[MAXPOOL_window_height]);
    for (i64 j = 1; j < p[MAXPOOL_window_width]; j++)
      most = NAME(greater)(most, NAME(column_maximum)(in + j * column_step, row_step, p[MAXPOOL_window_height]));
    __builtin_memcpy(out, &most, sizeof most);
  }
}

// Windows of 3x3 share columns with their neighbours. `stride`: of a window in columns, a constant 1 or 2.
INLINE void NAME(pool_threes)(const int stride, const i32 *p, const u8 *in, u8 *out, i64 count) {
  const i64 column_step = p[MAXPOOL_column_step], row_step = p[MAXPOOL_row_step], out_step = p[MAXPOOL_out_step_x];
  const u8 *end = out + count * out_step;
  NAME(Block) first = NAME(column_maximum)(in, row_step, 3), second = NAME(column_maximum)(in + column_step, row_step, 3);
  for (in += 2 * column_step;; in += stride * column_step) {
    const NAME(Block) third = NAME(column_maximum)(in, row_step, 3);
    const NAME(Block) most = NAME(greater)(first, NAME(greater)(second, third));
    __builtin_memcpy(out, &most, sizeof most);
    if ((out += out_step) == end) return;
    first = stride == 1 ? second : third;
    second = stride == 1 ? third : NAME(column_maximum)(in + column_step, row_step, 3);
  }
}

OUTLINE void NAME(pool_threes_1)(const i32 *p, const u8 *in, u8 *out, i64 count) { NAME(pool_threes)(1, p, in, out, count); }
OUTLINE void NAME(pool_threes_2)(const i32 *p, const u8 *in, u8 *out, i64 count) { NAME(pool_threes)(2, p, in, out, count); }

// All channels of `count` pixels, which are at least a block. The last block ends with the last channel.
OUTLINE void NAME(pool_strip)(const i32 *p, const u8 *in, u8 *out, i64 count) {
  const i64 bytes = p[MAXPOOL_pixel_bytes];
  const int threes = p[MAXPOOL_window_height] == 3 && p[MAXPOOL_window_width] == 3;
  for (i64 c = 0;; c = smaller(c + BYTES, bytes - BYTES)) {
    if (threes && p[MAXPOOL_in_step_x] == p[MAXPOOL_column_step])
      NAME(pool_threes_1)(p, in + c, out + c, count);
    else if (threes && p[MAXPOOL_in_step_x] == 2 * p[MAXPOOL_column_step])
      NAME(pool_threes_2)(p, in + c, out + c, count);
    else
      NAME(pool_blocks)(p, in + c, out + c, count);
    if (c == bytes - BYTES) return;
  }
}

// Windows' rows that do not stay in L1 from one block of channels to the next are walked a few pixels at a time, and what the next
// few read comes nearer meanwhile: rows this long come from L3, and the processor's own prefetching stops at every page.
OUTLINE void NAME(pool_row)(const i32 *p, const u8 *in, u8 *out) {
  const i64 rows = p[MAXPOOL_window_height], row_step = p[MAXPOOL_row_step], width = p[MAXPOOL_width], step = p[MAXPOOL_in_step_x];
  const int narrow = rows * row_step > 32 * 1024;
  const i64 strip = narrow ? 4 : width;
  for (i64 x = 0; x < width; x += strip) {
    if (narrow)
      for (i64 i = 0; i < rows; i++)
        for (i64 at = 2 * strip * step; at < 3 * strip * step; at += 64) __builtin_prefetch(in + x * step + i * row_step + at, 0, 3);
    NAME(pool_strip)(p, in + x * step, out + x * p[MAXPOOL_out_step_x], smaller(strip, width - x));
  }
}

#undef NAME
#undef BYTES
