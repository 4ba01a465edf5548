// Elementwise arithmetic; an instruction set's qmap.c defines SYMBOL and includes this file.
#include "common.h"
#include "image.h"
#include "lanes.h"
#include "qmap_params.h"

#define LANES 16
// Of a framed row, while it is made into squares; IREE's executables may use 32 KiB of stack.
#define ROW_BYTES 4096

typedef struct {
  const i32 *params;
  float multiplier, offset, residual_multiplier, low, high;
  int in_f32, residual_f32, out_f32;
} Map;

INLINE Floats load_lanes(const u8 *p, int is_f32) {
  if (is_f32) {
    Floats v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  Bytes bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, Floats);
}

INLINE Floats scaled(const Map *m, Floats v) {
  return __builtin_elementwise_fma(v, (Floats){} + m->multiplier, (Floats){} + m->offset);
}

INLINE Floats clamped(const Map *m, Floats v) { return bounded(v, m->low, m->high); }

// What is f32 and not u8, and whether there is a residual: constants wherever this is inlined in a loop.
INLINE void map_lanes(const int in_f32, const int residual_f32, const int out_f32, const Map *m, const u8 *in, const u8 *residual, u8 *out) {
  Floats v = scaled(m, load_lanes(in, in_f32));
  if (residual) v = __builtin_elementwise_fma(load_lanes(residual, residual_f32), (Floats){} + m->residual_multiplier, v);
  v = clamped(m, v);
  if (out_f32) {
    __builtin_memcpy(out, &v, sizeof v);
  } else {  // the bounds are whole numbers, so rounding after the clamp stays inside
    const Bytes bytes = __builtin_convertvector(rounded(v), Bytes);
    __builtin_memcpy(out, &bytes, sizeof bytes);
  }
}

// Fewer than sixteen go through buffers, so that nothing beyond the tensors is touched.
SPILLING void map_few(const Map *m, const u8 *in, const u8 *residual, u8 *out, i64 count) {
  u8 from[4 * LANES] = {0}, other[4 * LANES] = {0}, to[4 * LANES];
  copy_bytes(from, in, count * (m->in_f32 ? 4 : 1));
  if (residual) copy_bytes(other, residual, count * (m->residual_f32 ? 4 : 1));
  map_lanes(m->in_f32, m->residual_f32, m->out_f32, m, from, residual ? other : 0, to);
  copy_bytes(out, to, count * (m->out_f32 ? 4 : 1));
}

// At least sixteen values that lie side by side; the last sixteen may overlap those before them.
INLINE void map_many(const int in_f32, const int residual_f32, const int out_f32, const Map *map, const u8 *in, const u8 *residual, u8 *out,
                     i64 count) {
  const Map local = *map;  // which results cannot alias
  for (i64 i = 0;; i = smaller(i + LANES, count - LANES)) {
    map_lanes(in_f32, residual_f32, out_f32, &local, in + i * (in_f32 ? 4 : 1), residual ? residual + i * (residual_f32 ? 4 : 1) : 0,
              out + i * (out_f32 ? 4 : 1));
    if (i == count - LANES) return;
  }
}

SPILLING void map_run(const Map *m, const u8 *in, const u8 *residual, u8 *out, i64 count) {
  if (count < LANES)
    map_few(m, in, residual, out, count);
  else if (m->out_f32 || (residual && (m->in_f32 || m->residual_f32)))
    map_many(m->in_f32, m->residual_f32, m->out_f32, m, in, residual, out, count);
  else if (residual)
    map_many(0, 0, 0, m, in, residual, out, count);
  else if (m->in_f32)
    map_many(1, 0, 0, m, in, 0, out, count);
  else
    map_many(0, 0, 0, m, in, 0, out, count);
}

// Sixteen pixels of three planes: each pixel's bytes in one word, whose fourth byte is then left out.
INLINE void map_three_planes(const Map *m, const u8 *in, i64 plane, u8 *out) {
  typedef u8 Pixels __attribute__((vector_size(64)));
  const Words red = rounded(clamped(m, scaled(m, load_lanes(in, 1))));
  const Words green = rounded(clamped(m, scaled(m, load_lanes(in + plane, 1))));
  const Words blue = rounded(clamped(m, scaled(m, load_lanes(in + 2 * plane, 1))));
  const Pixels x = (Pixels)(red | green << 8 | blue << 16);
  const Pixels packed = __builtin_shufflevector(
      x, x, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22, 24, 25, 26, 28, 29, 30, 32, 33, 34, 36, 37, 38, 40, 41, 42, 44, 45,
      46, 48, 49, 50, 52, 53, 54, 56, 57, 58, 60, 61, 62, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  __builtin_memcpy(out, &packed, 48);
}

// Any number of planes, pixel by pixel.
SPILLING void map_planes(const Map *m, const u8 *in, u8 *out) {
  const i32 *p = m->params;
  const i64 channels = p[QMAP_channels], plane = p[QMAP_in_plane];
  for (i64 x = 0; x < p[QMAP_width]; x++)
    for (i64 j = 0; j < channels; j += LANES) {
      const i64 count = smaller(LANES, channels - j);
      u8 gathered[4 * LANES];
      for (i64 i = 0; i < count; i++) __builtin_memcpy(gathered + 4 * i, in + x * 4 + (j + i) * plane, 4);
      map_few(m, gathered, 0, out + x * p[QMAP_out_step_x] + j, count);
    }
}

// At least sixteen pixels; the last sixteen may overlap those before them.
SPILLING void map_three_rows(const Map *map, const u8 *in, u8 *out) {
  const Map local = *map;
  const i64 width = map->params[QMAP_width], plane = map->params[QMAP_in_plane];
  for (i64 x = 0;; x = smaller(x + LANES, width - LANES)) {
    map_three_planes(&local, in + x * 4, plane, out + x * 3);
    if (x == width - LANES) return;
  }
}

INLINE void map_row(const Map *m, const u8 *in, const u8 *residual, u8 *out) {
  const i32 *p = m->params;
  const i64 width = p[QMAP_width], channels = p[QMAP_channels], plane = p[QMAP_in_plane];
  if (plane && channels == 3 && p[QMAP_out_step_x] == 3 && width >= LANES) return map_three_rows(m, in, out);
  if (plane) return map_planes(m, in, out);
  const int dense = p[QMAP_in_step_x] == channels * (m->in_f32 ? 4 : 1) && p[QMAP_out_step_x] == channels * (m->out_f32 ? 4 : 1) &&
                    (!residual || p[QMAP_residual_step_x] == channels * (m->residual_f32 ? 4 : 1));
  const i64 runs = dense ? 1 : width;
  for (i64 x = 0; x < runs; x++)
    map_run(m, in + x * p[QMAP_in_step_x], residual ? residual + x * p[QMAP_residual_step_x] : 0, out + x * p[QMAP_out_step_x],
            dense ? width * channels : channels);
}

// A row of the framed image, side by side.
INLINE void map_framed_row(const Map *m, const u8 *in, const Frame *f, i64 y, u8 *row) {
  const i64 whole = f->left + f->width + f->right, left = f->left * f->bytes;
  if (y < 0 || y >= f->height) return fill_bytes(row, f->fill, whole * f->bytes);
  fill_bytes(row, f->fill, left);
  map_row(m, in + y * m->params[QMAP_in_step_y], 0, row + left);
  fill_bytes(row + left + f->width * f->bytes, f->fill, f->right * f->bytes);
}

// A row of squares: two pixels of the upper row and two of the lower one take turns. Eight bytes are copied of 2 to 8, the next copy mends
// what follows; the last two squares are copied exactly.
INLINE void map_squares(const Map *m, const u8 *in, const Frame *f, i64 y, u8 *out) {
  u8 upper[ROW_BYTES], lower[ROW_BYTES];
  const i64 piece = 2 * f->bytes, squares = (f->left + f->width + f->right) / 2;
  map_framed_row(m, in, f, 2 * y - f->top, upper);
  map_framed_row(m, in, f, 2 * y + 1 - f->top, lower);
  i64 x = 0;
  for (; x + 2 < squares; x++, out += 2 * piece) {
    __builtin_memcpy(out, upper + x * piece, 8);
    __builtin_memcpy(out + piece, lower + x * piece, 8);
  }
  for (; x < squares; x++, out += 2 * piece) {
    copy_bytes(out, upper + x * piece, piece);
    copy_bytes(out + piece, lower + x * piece, piece);
  }
}

INLINE void map(const u8 *in, const u8 *residual, const u8 *blob, u8 *out, i64 group, i64 unused) {
  (void)unused;
  const i32 *p = (const i32 *)blob;
  const Map m = {p, as_f32(p[QMAP_multiplier]), as_f32(p[QMAP_offset]), as_f32(p[QMAP_residual_multiplier]), as_f32(p[QMAP_low]),
                 as_f32(p[QMAP_high]), p[QMAP_in_f32], p[QMAP_residual_f32], p[QMAP_out_f32]};
  const Image result = IMAGE(QMAP, p, out);
  const Frame frame = FRAME(QMAP, p, p[QMAP_height], p[QMAP_width], p[QMAP_channels] * (m.out_f32 ? 4 : 1));
  const i64 rows = p[QMAP_squares] ? p[QMAP_squares] : p[QMAP_height];
  const i64 top = group * p[QMAP_block_height], bottom = smaller(top + p[QMAP_block_height], rows);
  in += p[QMAP_in_offset], out += result.offset;
  if (p[QMAP_squares]) {
    for (i64 y = top; y < bottom; y++) map_squares(&m, in, &frame, y, out + y * result.step_y);
    return;
  }
  fill_frame(out - result.offset, &result, &frame, top, bottom);
  for (i64 y = top; y < bottom; y++)
    map_row(&m, in + y * p[QMAP_in_step_y], residual ? residual + p[QMAP_residual_offset] + y * p[QMAP_residual_step_y] : 0,
            out + y * result.step_y);
}

ENTRY_POINTS(qmap, map)
