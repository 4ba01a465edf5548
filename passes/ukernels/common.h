// What every kernel needs: fixed-width names, and memory accesses that may be unaligned. No libc: kernels run on IREE's worker threads.
#ifndef QUANTUNE_COMMON_H_
#define QUANTUNE_COMMON_H_

#include <stdint.h>

typedef uint8_t u8;
typedef int8_t s8;
typedef int32_t i32;
typedef uint32_t u32;
typedef int64_t i64;

#define INLINE static __attribute__((always_inline)) inline
#define OUTLINE static __attribute__((noinline))

// A function whose vectors do not all fit in registers. Unless told, LLVM keeps the others wherever the stack happens to be: in half of all
// runs across cache lines, in some across pages.
#ifdef __x86_64__
#define SPILLING OUTLINE __attribute__((force_align_arg_pointer))
#else
#define SPILLING OUTLINE
#endif

// What IREE calls: compute(input, residual or null, blob, out, x, y) without a residual and with one. Bare pointers do not include a
// binding's offset: each comes as an index of its own, in bytes.
#define ENTRY_POINTS(family, compute)                                                                                               \
  void SYMBOL(family)(const u8 *input, const u8 *blob, u8 *out, i64 input_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) { \
    compute(input + input_offset, 0, blob + blob_offset, out + out_offset, x, y);                                                   \
  }                                                                                                                                 \
  void SYMBOL(family##_residual)(const u8 *input, const u8 *residual, const u8 *blob, u8 *out, i64 input_offset,                    \
                                 i64 residual_offset, i64 blob_offset, i64 out_offset, i64 x, i64 y) {                              \
    compute(input + input_offset, residual + residual_offset, blob + blob_offset, out + out_offset, x, y);                          \
  }

// Keeps an index, or a pointer, in one register that whatever is counted from it shares. LLVM would have a register for each sum of it and a
// row's pointer instead, and spill them (avx2/qconv.c: a third of the speed on 64 channels).
#define PIN(value) __asm__("" : "+r"(value))

INLINE i64 smaller(i64 a, i64 b) { return a < b ? a : b; }
INLINE i64 larger(i64 a, i64 b) { return a > b ? a : b; }

INLINE float as_f32(i32 bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// Copies exactly n bytes in words of 16 or 8, the last one overlapping: a byte loop would cost more than the product that follows it.
INLINE void copy_bytes(u8 *to, const u8 *from, i64 n) {
  i64 i = 0;
  if (n >= 16) {
    for (; i + 16 <= n; i += 16) __builtin_memcpy(to + i, from + i, 16);
    if (i < n) __builtin_memcpy(to + n - 16, from + n - 16, 16);
  } else if (n >= 8) {
    __builtin_memcpy(to, from, 8);
    __builtin_memcpy(to + n - 8, from + n - 8, 8);
  } else {
    for (; i < n; i++) ((volatile u8 *)to)[i] = from[i];  // volatile: LLVM must not call memcpy
  }
}

// Sets exactly n bytes.
INLINE void fill_bytes(u8 *to, u8 value, i64 n) {
  const uint64_t word = value * 0x0101010101010101u;
  i64 i = 0;
  for (; i + 8 <= n; i += 8) {
    __builtin_memcpy(to + i, &word, 8);
    __asm__("" : : : "memory");  // LLVM must not call memset
  }
  for (; i < n; i++) ((volatile u8 *)to)[i] = value;
}

#endif
