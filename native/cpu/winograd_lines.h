/*
 * Lines of x or dy as the transforms of weight gradients read them: end to end in bf16, normalised if they are to be, with the
 * zeros beside the picture. Every line is made once, though two strips of tiles read it.
 */
#ifndef IST_WINOGRAD_LINES_H
#define IST_WINOGRAD_LINES_H

#include "norm_input.h"
#include "winograd_cut.h"

#if defined(__AVX512BF16__)

/* Pictures whose lines are numbered through, with so many lines each and those beside them counted. */
typedef struct pictures {
    const uint16_t *at; /* [n, size, ld], from the first channel that is read */
    const int64_t *size;
    int64_t ld, channels;
    int64_t up, left, lines;
    const norm_input *norm; /* or NULL */
} pictures;

/* The channels of one line: [block, column, BLOCK]. */
typedef struct line {
    uint16_t *at;
    int64_t block; /* from one block of channels to the next */
} line;

/* Lines have a block's channels in fours, in this order: so words are, once unpacked and joined again. */
INLINE __m512i order(__m512i words) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words);
}

/* A block of channels as two vectors of float32. */
typedef struct floats {
    __m512 low, high;
} floats;

INLINE floats floats_at(const uint16_t *words) {
    __m512i zero = _mm512_setzero_si512(), x = _mm512_loadu_si512(words);
    return (floats){(__m512)_mm512_unpacklo_epi16(zero, x), (__m512)_mm512_unpackhi_epi16(zero, x)};
}

INLINE __m512i words_of(floats x) { return (__m512i)_mm512_cvtne2ps_pbh(x.high, x.low); }

static void fill_zeros(const pictures *p, int64_t count, line to) {
    for (int64_t c = 0; c < p->channels; c += BLOCK, to.at += to.block)
        for (int64_t i = 0; i < count; i++) _mm512_storeu_si512(to.at + i * BLOCK, _mm512_setzero_si512());
}

/* The numbers of a block of channels in the order in which words are unpacked: of the fours, the even or the odd ones. */
INLINE lanes unpacked(const float *numbers, int odd) {
    __m512 low = _mm512_loadu_ps(numbers), high = _mm512_loadu_ps(numbers + LANES);
    __m512 even = _mm512_shuffle_f32x4(low, high, 0x88);
    return (lanes)(odd ? _mm512_shuffle_f32x4(low, high, 0xdd) : even);
}

INLINE norm_lanes unpacked_norm(const norm_input *n, int64_t c, int odd) {
    return (norm_lanes){unpacked(n->mean + c, odd), unpacked(n->factor + c, odd), unpacked(n->beta + c, odd)};
}

/* The block of channels from c on of `count` pixels from x on, all in the picture. */
INLINE void fill_normed(int relu, const pictures *p, const uint16_t *x, int64_t c, int64_t count, uint16_t *to) {
    norm_lanes low = unpacked_norm(p->norm, c, 0), high = unpacked_norm(p->norm, c, 1);
    for (int64_t i = 0; i < count; i++) {
        floats v = floats_at(x + i * p->ld + c);
        v.low = (__m512)norm_of((lanes)v.low, low, relu);
        v.high = (__m512)norm_of((lanes)v.high, high, relu);
        _mm512_storeu_si512(to + i * BLOCK, words_of(v));
    }
}

static void fill_inside(const pictures *p, const uint16_t *x, int64_t count, line to) {
    for (int64_t c = 0; c < p->channels; c += BLOCK, to.at += to.block) {
        if (p->norm && p->norm->relu) fill_normed(1, p, x, c, count, to.at);
        else if (p->norm) fill_normed(0, p, x, c, count, to.at);
        else
            for (int64_t i = 0; i < count; i++)
                _mm512_storeu_si512(to.at + i * BLOCK, order(_mm512_loadu_si512(x + i * p->ld + c)));
    }
}

/* `count` columns, from number `column` on, of line number `number` at a depth. */
static void fill_line(const pictures *p, int64_t number, int64_t depth, int64_t column, int64_t count, line to) {
    int64_t n = number / p->lines, row = number % p->lines - p->up, first = column - p->left;
    if (row < 0 || row >= p->size[1]) {
        fill_zeros(p, count, to);
        return;
    }
    int64_t from = first < 0 ? min64(-first, count) : 0, end = min64(count, p->size[2] - first);
    if (end < from) end = from;
    const uint16_t *x = p->at + (((n * p->size[0] + depth) * p->size[1] + row) * p->size[2] + first + from) * p->ld;
    fill_zeros(p, from, to);
    fill_inside(p, x, end - from, (line){to.at + from * BLOCK, to.block});
    fill_zeros(p, count - end, (line){to.at + end * BLOCK, to.block});
}

#endif

#endif
