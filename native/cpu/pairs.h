/*
 * bf16 products come in pairs along what is summed: vdpbf16ps takes two terms of a sum at once. Here two pixels are laid
 * side by side, channel by channel: a step at a time, between products, where most of what a step takes is free.
 */
#ifndef IST_PAIRS_H
#define IST_PAIRS_H

#include "norm_input.h"
#include "settle.h"

#if defined(__AVX512BF16__)
/* The mask of the first n channels of a vector. */
INLINE __mmask32 first_words(int64_t n) { return n >= WORDS ? 0xffffffff : n > 0 ? (1u << n) - 1 : 0; }

/* The order of words in which unpacking two pixels makes pairs in the order of channels; `split`: even channels lie before
 * odd ones. To permute each pixel and unpack takes less of the processor than permutations of both. */
INLINE __m512i pair_order(int split) {
    uint16_t at[WORDS];
    for (int i = 0; i < WORDS; i++) {
        int c = i / 8 * 4 + i % 4 + i / 4 % 2 * (WORDS / 2);
        at[i] = (uint16_t)(split ? c / 2 + c % 2 * (WORDS / 2) : c);
    }
    return _mm512_loadu_si512(at);
}

/* What normalises WORDS channels; least: 0 if there is a ReLU, else nothing is less. */
typedef struct norm_words {
    norm_lanes even, odd;
    __m512 least;
} norm_words;

INLINE norm_words norm_words_at(const norm_input *n, int64_t j, int64_t count) {
    floats mean = split_floats(n->mean + j, count), factor = split_floats(n->factor + j, count);
    floats beta = split_floats(n->beta + j, count);
    norm_lanes even = {mean.even, factor.even, beta.even}, odd = {mean.odd, factor.odd, beta.odd};
    return (norm_words){even, odd, _mm512_set1_ps(n->relu ? 0 : -INFINITY)};
}

/* The normalised channels as bf16, even ones before odd ones. The second operand is what comes out if there is a NaN. */
INLINE __m512i norm_split(__m512i x, const norm_words *n) {
    floats f = floats_of(x);
    __m512 even = _mm512_max_ps(n->least, (__m512)norm_of(f.even, n->even, 0));
    __m512 odd = _mm512_max_ps(n->least, (__m512)norm_of(f.odd, n->odd, 0));
    return (__m512i)_mm512_cvtne2ps_pbh(odd, even);
}

/* What a column is owed, as owed_words, but at any address. */
#define OWED_FLOATS (2 * WORDS)

INLINE owed_words owed_words_of(const float *v) {
    return (owed_words){{lanes_at(v), lanes_at(v + 16)}, {lanes_at(v + 32), lanes_at(v + 48)}};
}

/* What is done to pixels on the way: nothing; a norm; or they are paid what they are owed. */
enum { PLAIN, NORMAL, OWED };

/*
 * Pixels that are packed, columns of WORDS channels one after the other, two pixels of a column in a step. Memory is asked
 * for them some pixels ahead: not earlier, as they would leave the first cache again, and a few lines at a time, as many at
 * once fill the queue that the products' own operands come through.
 */
typedef struct packing {
    norm_words norm;           /* of the only column */
    const float *owed;         /* of each column: [columns, OWED_FLOATS] */
    const uint16_t *from, *of; /* the next pixels, and what they are owed for */
    int64_t ld, ld_of;         /* from one pixel to the next */
    int64_t ahead, ahead_of;   /* from the next pixels to those fetched meanwhile */
    int64_t after;             /* instead of `ahead` in the last `lead` steps: something else comes then */
    int64_t lead, steps;       /* steps that are left */
    int64_t column, columns;
    int64_t back;              /* from the last column to the first one */
    int odd;                   /* in the last row of steps there is one pixel */
    __mmask32 some, last;      /* which channels are in this column and in the last one */
    char *to;                  /* the pairs of the first half of a column; */
    int64_t high, pitch;       /* the other half is `high` bytes behind, a row of steps `pitch` behind the last column */
} packing;

INLINE __m512i pack_pixel(const packing *p, int how, int64_t pixel) {
    __m512i v = _mm512_maskz_loadu_epi16(p->some, p->from + pixel * p->ld);
    if (how == NORMAL) return norm_split(v, &p->norm);
    if (how == PLAIN) return v;
    __m512i of = _mm512_maskz_loadu_epi16(p->some, p->of + pixel * p->ld_of);
    return settle_split(v, of, owed_words_of(p->owed + p->column * OWED_FLOATS));
}

INLINE void fetch_two(const uint16_t *at, int64_t ld) {
    __builtin_prefetch(at);
    __builtin_prefetch(at + ld);
}

/* A step; two: both pixels are there. */
INLINE void pack_step(packing *p, int how, int two) {
    __m512i a = pack_pixel(p, how, 0), b = two ? pack_pixel(p, how, 1) : _mm512_setzero_si512();
    __m512i order = pair_order(how != PLAIN);
    a = _mm512_permutexvar_epi16(order, a), b = _mm512_permutexvar_epi16(order, b);
    fetch_two(p->from + (p->steps > p->lead ? p->ahead : p->after), p->ld);
    if (how == OWED) fetch_two(p->of + p->ahead_of, p->ld_of);
    _mm512_storeu_si512(p->to, _mm512_unpacklo_epi16(a, b));
    _mm512_storeu_si512(p->to + p->high, _mm512_unpackhi_epi16(a, b));
    p->steps--;
    if (how == NORMAL) {
        p->from += 2 * p->ld, p->to += p->pitch;
        return;
    }
    int64_t column = p->column + 1, end = column == p->columns;
    p->from += end ? 2 * p->ld - p->back : WORDS;
    if (how == OWED) p->of += end ? 2 * p->ld_of - p->back : WORDS;
    p->to += end ? p->pitch : 2 * p->high;
    p->column = end ? 0 : column;
    p->some = p->column + 1 == p->columns ? p->last : 0xffffffff;
}

/* Steps with two pixels that are left. */
INLINE int64_t full_steps(const packing *p) { return p->odd ? p->steps - p->columns : p->steps; }

INLINE void pack_rest(packing *p, int how) {
    while (full_steps(p) > 0) pack_step(p, how, 1);
    while (p->steps > 0) pack_step(p, how, 0);
}

/* What is left, at once. */
static void finish(packing *p, int how) {
    if (how == NORMAL) pack_rest(p, NORMAL);
    else if (how == OWED) pack_rest(p, OWED);
    else pack_rest(p, PLAIN);
}
#endif

#endif
