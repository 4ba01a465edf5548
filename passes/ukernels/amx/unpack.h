// Weights of 4 to 7 bits to bytes: every 8 weights plus 2^(bits - 1) are stored as `bits` bytes, low bits first.
#ifndef QUANTUNE_AMX_UNPACK_H_
#define QUANTUNE_AMX_UNPACK_H_

#include <immintrin.h>

#include "../common.h"

// For 64 weights at once: which bytes every eight weights take, where in them each begins, what of it counts, and what was added.
typedef struct {
  __m512i places, shifts, mask, middle;
  __mmask64 loaded;
  i64 step;
} Packing;

INLINE Packing packing_of(i64 bits) {
  const i64 ascending = 0x0706050403020100;
  const __m512i eights = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i everywhere = _mm512_maskz_set1_epi8(0xFF00FF00FF00FF00, 8);  // the lowest byte of its 64 bits, to all of them
  const __m512i first = _mm512_shuffle_epi8(_mm512_mul_epu32(eights, _mm512_set1_epi64(bits)), everywhere);
  Packing found;
  found.places = _mm512_add_epi8(first, _mm512_set1_epi64(ascending));
  found.shifts = _mm512_set1_epi64(ascending * bits);
  found.mask = _mm512_set1_epi8((char)((1 << bits) - 1));
  found.middle = _mm512_set1_epi8((char)(1 << (bits - 1)));
  found.loaded = bits < 8 ? ((__mmask64)1 << (8 * bits)) - 1 : ~(__mmask64)0;
  found.step = 8 * bits;
  return found;
}

INLINE void unpack(s8 *to, const s8 *from, i64 weights, const Packing *p) {
  for (i64 i = 0; i < weights; i += 64, from += p->step) {
    const __m512i eights = _mm512_permutexvar_epi8(p->places, _mm512_maskz_loadu_epi8(p->loaded, from));
    const __m512i raised = _mm512_and_si512(_mm512_multishift_epi64_epi8(p->shifts, eights), p->mask);
    _mm512_storeu_si512(to + i, _mm512_sub_epi8(raised, p->middle));
  }
}

#endif
