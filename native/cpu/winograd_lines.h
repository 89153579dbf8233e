/*
 * Lines of x as the transforms of weight gradients read them: end to end in bf16, normalised if they are to be, with the zeros
 * beside the picture. Every line is made once, though two strips of tiles read it.
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
    const ist_owed *owed;   /* or NULL; from the first channel that is read, too */
} pictures;

/* The channels of one line: [block, column, BLOCK]. */
typedef struct line {
    uint16_t *at;
    int64_t block; /* from one block of channels to the next */
} line;

/* Lines have a block's channels in fours, in this order: once words are unpacked, the first half of the channels is in one
 * vector and the other half in the other. */
INLINE __m512i order(__m512i words) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), words);
}

/* The same of words that were unpacked and joined again. */
INLINE __m512i order_again(__m512i words) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words);
}

/* A block of channels as two vectors of float32. */
typedef struct floats {
    __m512 low, high;
} floats;

INLINE floats unpacked_words(__m512i x) {
    __m512i zero = _mm512_setzero_si512();
    return (floats){(__m512)_mm512_unpacklo_epi16(zero, x), (__m512)_mm512_unpackhi_epi16(zero, x)};
}

INLINE floats floats_at(const uint16_t *words) { return unpacked_words(_mm512_loadu_si512(words)); }

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

/* The block of channels from c on of `count` pixels from x on, all in the picture. What will be read of the next block, or
 * of the next line, is brought nearer: the processor itself foresees only what lies end to end. */
INLINE void fill_normed(int relu, const pictures *p, const uint16_t *x, int64_t c, int64_t count, uint16_t *to) {
    norm_lanes low = unpacked_norm(p->norm, c, 0), high = unpacked_norm(p->norm, c, 1);
    int64_t ld = p->ld, next = c + BLOCK < p->channels ? BLOCK : p->size[2] * ld - c;
    x += c;
    for (int64_t i = 0; i < count; i++, x += ld, to += BLOCK) {
        _mm_prefetch((const char *)(x + next), _MM_HINT_T0);
        floats v = floats_at(x);
        v.low = (__m512)norm_of((lanes)v.low, low, relu);
        v.high = (__m512)norm_of((lanes)v.high, high, relu);
        _mm512_storeu_si512(to, order_again(words_of(v)));
    }
}

/* What is owed at a pixel, from the first channel that is read. */
INLINE const uint16_t *owed_at(const pictures *p, const uint16_t *pixel) {
    return (const uint16_t *)p->owed->x + (pixel - p->at) / p->ld * p->owed->ldx;
}

static void fill_inside(const pictures *p, const uint16_t *x, int64_t count, line to) {
    for (int64_t c = 0; c < p->channels && count > 0; c += BLOCK, to.at += to.block) {
        if (p->norm && p->norm->relu) fill_normed(1, p, x, c, count, to.at);
        else if (p->norm) fill_normed(0, p, x, c, count, to.at);
        else
            for (int64_t i = 0; i < count; i++)
                _mm512_storeu_si512(to.at + i * BLOCK, order(_mm512_loadu_si512(x + i * p->ld + c)));
    }
}

/* Columns of lines: `count` from number `column` on. */
typedef struct extent {
    int64_t column, count;
} extent;

/* Which columns of an extent lie in the picture, counted from its first, and the first pixel; none if the line does not. */
typedef struct inside {
    int64_t from, end;
    const uint16_t *x;
} inside;

static inside inside_of(const pictures *p, int64_t number, int64_t depth, extent e) {
    int64_t n = number / p->lines, row = number % p->lines - p->up, first = e.column - p->left;
    if (row < 0 || row >= p->size[1]) return (inside){0, 0, NULL};
    int64_t from = first < 0 ? min64(-first, e.count) : 0, end = min64(e.count, p->size[2] - first);
    if (end <= from) return (inside){0, 0, NULL};
    return (inside){from, end,
                    p->at + (((n * p->size[0] + depth) * p->size[1] + row) * p->size[2] + first + from) * p->ld};
}

/* A line, by its number, at a depth. */
static void fill_line(const pictures *p, int64_t number, int64_t depth, extent e, line to) {
    inside i = inside_of(p, number, depth, e);
    fill_zeros(p, i.from, to);
    fill_inside(p, i.x, i.end - i.from, (line){to.at + i.from * BLOCK, to.block});
    fill_zeros(p, e.count - i.end, (line){to.at + i.end * BLOCK, to.block});
}

/* ---- What comes next is fetched while other things are worked on ---- */

/* Lines [line, end_line) of planes [depth, last), of which `each` lines of the cache are fetched at a time. */
typedef struct ahead {
    int64_t first, end_line, depth, last;
    extent columns;
    int64_t each, line;
    const char *at, *end;    /* what comes next of a pixel of the line before `line`; pixels end to end count as one */
    int64_t left;            /* so many pixels of it are left, with this one */
    int64_t gap, pixel;      /* from one's end to the next one; from one to the next */
    int64_t owed, owed_more; /* how far on lies what is owed there, 0: nothing; how much farther at the next pixel */
} ahead;

/* times: how often something is fetched until all is. */
static ahead ahead_of(const pictures *p, int64_t first, int64_t end, int64_t depth, int64_t last, extent columns,
                      int64_t times) {
    int64_t pixels = last > depth ? (end - first) * (last - depth) * columns.count : 0;
    return (ahead){.first = first, .end_line = end, .depth = depth, .last = last, .columns = columns,
                   .each = over(pixels * over(p->channels, BLOCK), times), .line = first};
}

/* count: its pixels from x on. */
static void begin_line(const pictures *p, ahead *a, const uint16_t *x, int64_t count) {
    int together = p->ld == p->channels && !p->owed;
    a->at = (const char *)x;
    a->left = together ? 1 : count;
    a->end = a->at + 2 * p->channels * (together ? count : 1);
    a->pixel = 2 * p->ld;
    a->gap = a->pixel - 2 * p->channels;
    if (!p->owed) return;
    a->owed = (intptr_t)owed_at(p, x) - (intptr_t)x;
    a->owed_more = 2 * p->owed->ldx - a->pixel;
}

/* The next line that has columns in the picture, if there is one. */
static __attribute__((noinline)) int next_line(const pictures *p, ahead *a) {
    for (; a->depth < a->last && a->first < a->end_line; a->depth++, a->line = a->first)
        while (a->line < a->end_line) {
            inside i = inside_of(p, a->line++, a->depth, a->columns);
            if (!i.x) continue;
            begin_line(p, a, i.x, i.end - i.from);
            return 1;
        }
    a->each = a->left = 0;
    return 0;
}

/* What is due, of this line only, with few registers: the caller's are in use. */
INLINE void fetch_of_line(ahead *a) {
    for (int64_t due = a->each; due > 0 && a->left > 0; due--) {
        _mm_prefetch(a->at, _MM_HINT_T0);
        if (a->owed) _mm_prefetch(a->at + a->owed, _MM_HINT_T0);
        a->at += 2 * BLOCK;
        if (a->at < a->end) continue;
        a->left--;
        a->at += a->gap;
        a->end += a->pixel;
        a->owed += a->owed_more;
    }
}

INLINE void fetch_due(const pictures *p, ahead *a) {
    if (a->left > 0 || next_line(p, a)) fetch_of_line(a);
}

#endif

#endif
