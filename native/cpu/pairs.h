/*
 * bf16 products come in pairs along what is summed: vdpbf16ps takes two terms of a sum at once. Here two pixels are laid
 * side by side, channel by channel.
 */
#ifndef IST_PAIRS_H
#define IST_PAIRS_H

#include "norm_input.h"
#include "settle.h"

#if defined(__AVX512BF16__)
/* The mask of the first n channels of a vector. */
INLINE __mmask32 first_words(int64_t n) { return n >= WORDS ? 0xffffffff : n > 0 ? (1u << n) - 1 : 0; }

/* Which words of two pixels make 16 pairs, of the channels from `first` on; `split`: even channels lie before odd ones. */
INLINE __m512i pair_order(int split, int first) {
    uint16_t at[WORDS];
    for (int i = 0; i < WORDS / 2; i++) {
        int c = first + i;
        at[2 * i] = (uint16_t)(split ? c / 2 + c % 2 * (WORDS / 2) : c);
        at[2 * i + 1] = (uint16_t)(at[2 * i] + WORDS);
    }
    return _mm512_loadu_si512(at);
}

/* WORDS channels of the pixels a and b -> to and, of the last half of them, high. */
INLINE void write_pairs(int split, __m512i a, __m512i b, char *to, char *high) {
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, pair_order(split, 0), b));
    _mm512_storeu_si512(high, _mm512_permutex2var_epi16(a, pair_order(split, WORDS / 2), b));
}

/* What normalises WORDS channels. */
typedef struct norm_words {
    norm_lanes even, odd;
} norm_words;

INLINE norm_words norm_words_at(const norm_input *n, int64_t j, int64_t count) {
    floats mean = split_floats(n->mean + j, count), factor = split_floats(n->factor + j, count);
    floats beta = split_floats(n->beta + j, count);
    return (norm_words){{mean.even, factor.even, beta.even}, {mean.odd, factor.odd, beta.odd}};
}

/* The normalised channels as bf16, even ones before odd ones. */
INLINE __m512i norm_split(__m512i x, norm_words n, int relu) {
    floats f = floats_of(x);
    return (__m512i)_mm512_cvtne2ps_pbh((__m512)norm_of(f.odd, n.odd, relu), (__m512)norm_of(f.even, n.even, relu));
}

#endif

#endif
