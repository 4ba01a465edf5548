// The tile registers: 0 to 3 hold sums, 4 and 5 operands, 6 and 7 weights.
#ifndef QUANTUNE_TILES_H_
#define QUANTUNE_TILES_H_

#include <immintrin.h>

#include "../common.h"

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

// sums[2 * i + j]: rows of strip i times columns of panel j. `segments` are (offset, length), null where operands lie side by side.
INLINE void multiply(const u8 *a0, const u8 *a1, i64 stride, const s8 *w, i64 panel, const i32 *segments, i64 chunks, i64 chunk,
                     const int rows, const int columns, i32 (*sums)[256]) {
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
  for (i64 k = 0; k < chunks; k++, w += chunk * 16) {
    const i64 at = segments ? segments[2 * k] : k * chunk;
    _tile_loadd(6, w, 64);
    _tile_loadd(4, a0 + at, stride);
    _tile_dpbusd(0, 4, 6);
    if (columns > 1) {
      _tile_loadd(7, w + panel, 64);
      _tile_dpbusd(1, 4, 7);
    }
    if (rows > 1) {
      _tile_loadd(5, a1 + at, stride);
      _tile_dpbusd(2, 5, 6);
      if (columns > 1) _tile_dpbusd(3, 5, 7);
    }
  }
  _tile_stored(0, sums[0], 64);
  if (columns > 1) _tile_stored(1, sums[1], 64);
  if (rows > 1) {
    _tile_stored(2, sums[2], 64);
    if (columns > 1) _tile_stored(3, sums[3], 64);
  }
}

#endif
