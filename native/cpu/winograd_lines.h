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

/* BLOCK channels, in fours, in the order that makes write_pairs write channels in theirs. */
INLINE void write_words(uint16_t *to, __m512i words) {
    _mm512_storeu_si512(to, _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words));
}

/* One pixel's channels. */
INLINE void fill_pixel(int normed, int relu, const pictures *p, const uint16_t *x, line to) {
    for (int64_t c = 0; c < p->channels; c += BLOCK, to.at += to.block) {
        __m512i words = _mm512_loadu_si512(x + c);
        if (normed) {
            __m512 v[2];
            for (int i = 0; i < 2; i++)
                v[i] = (__m512)norm_of(widen(x + c + i * LANES), norm_lanes_at(p->norm, c + i * LANES), relu);
            words = (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
        }
        write_words(to.at, words);
    }
}

static void fill_zeros(const pictures *p, int64_t count, line to) {
    for (int64_t c = 0; c < p->channels; c += BLOCK, to.at += to.block)
        for (int64_t i = 0; i < count; i++) _mm512_storeu_si512(to.at + i * BLOCK, _mm512_setzero_si512());
}

/* `count` pixels from x on, all in the picture. */
static void fill_inside(const pictures *p, const uint16_t *x, int64_t count, line to) {
    for (int64_t i = 0; i < count; i++, x += p->ld, to.at += BLOCK)
        if (!p->norm) fill_pixel(0, 0, p, x, to);
        else if (p->norm->relu) fill_pixel(1, 1, p, x, to);
        else fill_pixel(1, 0, p, x, to);
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
