/*
 * What a gradient is owed (see ist_owed), paid while a kernel reads it; with the bits that ist_settle would have stored.
 */
#ifndef IST_SETTLE_H
#define IST_SETTLE_H

#include "norm_input.h"

/* Channels in a vector of bf16. */
#define WORDS 32

#if defined(__AVX512BF16__)
/* The mask of the first n of 16 channels. */
INLINE __mmask16 first_lanes(int64_t n) { return (__mmask16)(n >= 16 ? 0xffff : n > 0 ? (1 << n) - 1 : 0); }

/* WORDS channels in float32: even ones, odd ones, as shifting splits them. */
typedef struct floats {
    lanes even, odd;
} floats;

INLINE floats floats_of(__m512i x) {
    return (floats){(lanes)_mm512_slli_epi32(x, 16), (lanes)_mm512_and_si512(x, _mm512_set1_epi32(-65536))};
}

/* At most WORDS numbers, n of them there, split. */
INLINE floats split_floats(const float *v, int64_t n) {
    __m512 low = _mm512_maskz_loadu_ps(first_lanes(n), v), high = _mm512_maskz_loadu_ps(first_lanes(n - 16), v + 16);
    __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    return (floats){(lanes)_mm512_permutex2var_ps(low, even, high), (lanes)_mm512_permutex2var_ps(low, odd, high)};
}

/* What WORDS channels of a gradient are owed. */
typedef struct owed_words {
    floats slope, shift;
} owed_words;

INLINE owed_words owed_words_at(const ist_owed *o, int64_t j, int64_t count) {
    return (owed_words){split_floats(o->slope + j, count), split_floats(o->shift + j, count)};
}

/* d + slope x + shift; rounded, the bits of ist_settle. */
INLINE floats settled(__m512i d, __m512i x, owed_words o) {
    floats to = floats_of(d), of = floats_of(x);
    to.even += (lanes)_mm512_fmadd_ps((__m512)of.even, (__m512)o.slope.even, (__m512)o.shift.even);
    to.odd += (lanes)_mm512_fmadd_ps((__m512)of.odd, (__m512)o.slope.odd, (__m512)o.shift.odd);
    return to;
}

/* The same as bf16, even channels before odd ones. */
INLINE __m512i settle_split(__m512i d, __m512i x, owed_words o) {
    floats to = settled(d, x, o);
    return (__m512i)_mm512_cvtne2ps_pbh((__m512)to.odd, (__m512)to.even);
}
#endif

#endif
