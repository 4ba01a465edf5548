// A tile's panel: a head of whatever the instruction set wants before the weights, then the weights. Weights of 4 bits are stored as
// nibbles and unpacked to bytes once before the rows of a workgroup pass by; of a deep panel one block of segments after the other. Blocks
// of bytes have a head each.
#include "common.h"
#include "qconv_params.h"

#define UNPACKED_BYTES (16384 + 64)

// 32 bytes are 64 weights plus 8: the first 32 in the low nibbles, the others in the high ones.
OUTLINE void unpack_nibbles(s8 *restrict to, const u8 *restrict from, i64 weights) {
  for (i64 i = 0; i < weights; i += 64, from += 32, to += 64)
    for (int j = 0; j < 32; j++) to[j] = (s8)((from[j] & 15) - 8), to[j + 32] = (s8)((from[j] >> 4) - 8);
}

INLINE i64 head_bytes(const i32 *p) { return p[QCONV_panel_bytes] - p[QCONV_depth] * 2 * p[QCONV_bits]; }

INLINE const s8 *panel_of(const i32 *p, i64 tile) {
  return (const s8 *)p + p[QCONV_weight_offset] + tile * (i64)p[QCONV_panel_bytes];
}

// The weights for `bytes` of a row's operands from byte `done` on, behind the panel's head or, unless these are the first, zeros.
INLINE void unpack_panel(s8 *to, const i32 *p, i64 tile, i64 done, i64 bytes) {
  const s8 *panel = panel_of(p, tile);
  const i64 head = head_bytes(p);
  if (done)
    fill_bytes((u8 *)to, 0, head);
  else
    copy_bytes((u8 *)to, (const u8 *)panel, head);
  unpack_nibbles(to + head, (const u8 *)panel + head + done * 8, bytes * 16);
}

// One block of a deep panel, from byte `done` of a row's operands on: where it lies, or unpacked.
INLINE const s8 *block_of_panel(s8 *unpacked, const i32 *p, i64 tile, i64 block, i64 done, i64 bytes) {
  if (p[QCONV_bits] == 8) {
    const i64 head = (p[QCONV_panel_bytes] - p[QCONV_depth] * 16) / p[QCONV_blocks];
    return panel_of(p, tile) + done * 16 + block * head;
  }
  unpack_panel(unpacked, p, tile, done, bytes);
  return unpacked;
}
