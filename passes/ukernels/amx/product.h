// Products of strips of pixels with tiles of columns: two by two, or up to four by one. Tile registers: 0 to 3 hold sums, 4 and 5 operands,
// 6 and 7 weights.
#ifndef QUANTUNE_AMX_PRODUCT_H_
#define QUANTUNE_AMX_PRODUCT_H_

#include <immintrin.h>

#include "../qconv_groups.h"
#include "convolution.h"
#include "epilogue.h"
#include "unpack.h"

// Steps without a tile store after which a useless one is made: when none came for 0.8 µs, the processor needs 0.3 µs for the next, as if it
// had switched the unit off. Measured on Sapphire Rapids; a fifth of the time of 36 steps.
#define STORE_EVERY 8
// Steps from unpacking weights to their use: what was just stored is slow to load.
#define EARLY 2
#define BUFFERS 4
// Where weights are read only once, those of so many steps are fetched while as many before them are done: all of 3x3 over 512 channels.
#define MOST_STEPS 72

typedef struct {
  u8 palette, start, reserved[14];
  uint16_t bytes[16];
  u8 rows[16];
} TileConfig;

// Linux lets a process use tile registers once it has asked; asking again takes 75 ns.
INLINE void ask_for_tiles(void) {
  const i64 arch_prctl = 158, request_permission = 0x1023, tile_data = 18;
  i64 result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(arch_prctl), "D"(request_permission), "S"(tile_data) : "rcx", "r11", "memory");
}

INLINE void open_tiles(i64 rows, i64 chunk) {
  TileConfig c __attribute__((aligned(64))) = {.palette = 1};
  for (int i = 0; i < 4; i++) c.rows[i] = (u8)rows, c.bytes[i] = 64;
  for (int i = 4; i < 6; i++) c.rows[i] = (u8)rows, c.bytes[i] = (uint16_t)chunk;
  for (int i = 6; i < 8; i++) c.rows[i] = (u8)(chunk / 4), c.bytes[i] = 64;
  ask_for_tiles();
  _tile_loadconfig(&c);
}

// Weights, `passing` if they come from L2 all the same: then they do not take the operands' place in L1.
#define LOAD_WEIGHTS(tile, from, passing) \
  do { \
    if (passing) \
      _tile_stream_loadd(tile, from, 64); \
    else \
      _tile_loadd(tile, from, 64); \
  } while (0)

// The first chunk takes a register of sums from the product before. Storing them all behind that product would keep this one waiting: one
// product of a chunk, 49 -> 33 ns.
#define TAKE(tile) \
  do { \
    if (first) { \
      STORE_SUMS(before, tile); \
      _tile_zero(tile); \
    } \
  } while (0)

// One chunk, one or two strips by two tiles of columns.
INLINE void step_square(const u8 *const *a, i64 at, i64 stride, const s8 *const *w, const int passing, const int rows, const int first,
                        Pending *before) {
  LOAD_WEIGHTS(6, w[0], passing);
  _tile_loadd(4, a[0] + at, stride);
  TAKE(0);
  _tile_dpbusd(0, 4, 6);
  LOAD_WEIGHTS(7, w[1], passing);
  TAKE(1);
  _tile_dpbusd(1, 4, 7);
  if (rows > 1) _tile_loadd(5, a[1] + at, stride);
  TAKE(2);
  if (rows > 1) _tile_dpbusd(2, 5, 6);
  TAKE(3);
  if (rows > 1) _tile_dpbusd(3, 5, 7);
}

// One chunk, one to four strips by one tile of columns.
INLINE void step_tall(const u8 *const *a, i64 at, i64 stride, const s8 *w, const int passing, const int rows, const int first, Pending *before) {
  LOAD_WEIGHTS(6, w, passing);
  _tile_loadd(4, a[0] + at, stride);
  TAKE(0);
  _tile_dpbusd(0, 4, 6);
  if (rows > 1) _tile_loadd(5, a[1] + at, stride);
  TAKE(1);
  if (rows > 1) _tile_dpbusd(1, 5, 6);
  if (rows > 2) _tile_loadd(4, a[2] + at, stride);
  TAKE(2);
  if (rows > 2) _tile_dpbusd(2, 4, 6);
  if (rows > 3) _tile_loadd(5, a[3] + at, stride);
  TAKE(3);
  if (rows > 3) _tile_dpbusd(3, 5, 6);
}

INLINE void step(const u8 *const *a, i64 at, i64 stride, const s8 *const *w, const int passing, const int rows, const int columns, const int first,
                 Pending *before) {
  if (columns > 1)
    step_square(a, at, stride, w, passing, rows, first, before);
  else
    step_tall(a, at, stride, w[0], passing, rows, first, before);
}

// `bytes` of each of one or two panels, in four places, to be fetched within so many steps.
INLINE Coming coming_from(const s8 *at, i64 bytes, i64 columns, i64 next_panel, i64 steps) {
  const i64 apart = columns > 1 ? bytes / 2 : bytes / 4;
  return (Coming){at, at, (apart + steps - 1) / steps, apart, columns > 1 ? next_panel : 2 * apart};
}

// A step's share of the weights on their way: memory answers for several pages faster than for one after the other, and the processor's own
// prefetching stops at every page's end.
INLINE void fetch(Coming *c) {
  for (c->due += c->step; c->at < c->due; c->at += 64) {
    _mm_prefetch(c->at, _MM_HINT_T1);
    _mm_prefetch(c->at + c->apart, _MM_HINT_T1);
    _mm_prefetch(c->at + c->farther, _MM_HINT_T1);
    _mm_prefetch(c->at + c->farther + c->apart, _MM_HINT_T1);
  }
}

// The weights from `column` on, of up to two panels, are fetched evenly over so many products.
INLINE void expect(Convolution *c, i64 column, i64 columns, i64 products) {
  const i32 *p = c->params;
  const i64 panel = p[QCONV_panel_bytes], steps = products * c->chunks;
  c->coming.step = 0;
  if (columns) c->coming = coming_from((const s8 *)p + p[QCONV_weight_offset] + column * panel, panel, columns, panel, steps);
}

// How a product finds its weights: near, so that nothing needs to be fetched; elsewhere; elsewhere and not to take the operands' place in L1; or
// with fewer bits than a byte. Each has a loop of its own: a step has 16 cycles for each of its products, and all that it asks costs some.
enum { NEAR, FAR, PASSING, PACKED };

INLINE int way_of(const Convolution *c, int cold) {
  if (c->params[QCONV_bits] < 8) return PACKED;
  return c->params[QCONV_passing] ? PASSING : cold || c->coming.step ? FAR : NEAR;
}

INLINE void multiply(Convolution *c, const s8 *panel, int cold, const int rows, const int columns, const int way) {
  const i32 *p = c->params;
  const Strip *s = c->strips[c->current];
  const u8 *a[STRIPS];
  for (int i = 0; i < rows; i++) a[i] = s[i].operands;
  const i64 chunk = p[QCONV_chunk], chunks = c->chunks, stride = s[0].stride;
  const int joined = p[QCONV_copied], packed = way == PACKED, count = c->pending.count;
  // What was just stored is slow to load: the epilogue waits for the second step if there is one. It has up to four strips.
  const int each = count < chunks ? 1 : chunks > 2 ? 2 : count;
  const i64 bytes = chunk * 2 * p[QCONV_bits], next_panel = p[QCONV_panel_bytes];
  const i64 block = smaller(chunks, MOST_STEPS);
  i64 renewal = cold ? 0 : chunks;
  Coming coming = c->coming;
  Packing packing;
  if (packed) packing = packing_of(p[QCONV_bits]);
  s8 unpacked[BUFFERS][2][1024] __attribute__((aligned(64))), unused[1024] __attribute__((aligned(64)));
  for (int j = 0; j < columns && packed; j++)
    for (i64 k = 0; k < smaller(EARLY, chunks); k++) unpack(unpacked[k][j], panel + j * next_panel + k * bytes, chunk * 16, &packing);
  for (i64 k = 0; k < chunks; k++, panel += bytes) {
    const s8 *w[2] = {panel, panel + next_panel};
    if (way != NEAR && k == renewal) {
      renewal += block;
      const s8 *const next = panel + block * bytes + (renewal < chunks ? 0 : (columns - 1) * next_panel);
      coming = coming_from(next, block * bytes, columns, next_panel, block);
    }
    if (packed) w[0] = unpacked[k % BUFFERS][0], w[1] = unpacked[k % BUFFERS][1];
    const i64 at = joined ? k * chunk : c->segments[2 * k];
    if (k == 0)
      step(a, at, stride, w, way == PASSING, rows, columns, 1, &c->pending);
    else
      step(a, at, stride, w, way == PASSING, rows, columns, 0, &c->pending);
    if (k % STORE_EVERY == STORE_EVERY - 1) _tile_stored(6, unused, 64);
    for (int j = 0; j < columns; j++) {
      const s8 *column = panel + j * next_panel;
      if (packed && k + EARLY < chunks) unpack(unpacked[(k + EARLY) % BUFFERS][j], column + EARLY * bytes, chunk * 16, &packing);
    }
    if (way != NEAR) fetch(&coming);
    for (int i = 0; i < each && (k || chunks == 1) && c->pending.next < count; i++) finish_strip(c);
  }
  c->coming = coming;
  if (cold) c->coming.step = 0;
  finish_rest(c);
}

INLINE void multiply_any(Convolution *c, const s8 *w, int cold, int rows, int columns, const int way) {
  if (rows == 4)
    multiply(c, w, cold, 4, 1, way);
  else if (rows == 3)
    multiply(c, w, cold, 3, 1, way);
  else if (rows == 2)
    columns == 2 ? multiply(c, w, cold, 2, 2, way) : multiply(c, w, cold, 2, 1, way);
  else
    columns == 2 ? multiply(c, w, cold, 1, 2, way) : multiply(c, w, cold, 1, 1, way);
}

// `cold`: these weights are read for the first time.
OUTLINE void do_tiles(Convolution *c, int rows, i64 column, int columns, int cold) {
  const i32 *p = c->params;
  const s8 *w = (const s8 *)p + p[QCONV_weight_offset] + column * (i64)p[QCONV_panel_bytes];
  const int way = way_of(c, cold);
  if (way == NEAR)
    multiply_any(c, w, cold, rows, columns, NEAR);
  else if (way == FAR)
    multiply_any(c, w, cold, rows, columns, FAR);
  else if (way == PASSING)
    multiply_any(c, w, cold, rows, columns, PASSING);
  else
    multiply_any(c, w, cold, rows, columns, PACKED);
  Pending *d = &c->pending;
  const i64 group = group_of(p, column), first = (column - group * p[QCONV_group_tiles]) * 16;
  d->strips = c->strips[c->current], d->columns = columns, d->next = 0, d->count = rows;
  d->tiles = rows * columns, d->apart = columns > 1 ? ROWS * 16 : 2 * ROWS * 16;
  d->scales = (const float *)((const u8 *)p + p[QCONV_scale_offset]) + column * 32;
  d->channel = group * p[QCONV_filters] + first, d->filters = p[QCONV_filters] - first;
}

#endif
