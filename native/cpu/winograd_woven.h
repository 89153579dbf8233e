/*
 * Products with the next group's input transformed, and pixels behind it normalised, between them: sums, shifts and roundings
 * take pipes that products leave free, but only a few at a time, as those that wait for their turn hold up what is behind
 * them. For convolutions of one tap in depth with a norm before them, and few output channels; with the bits that others have.
 *
 * Pixels are numbered through all pictures. Normalised ones lie in a ring; those beside the picture are one more, of zeros.
 */
#ifndef IST_WINOGRAD_WOVEN_H
#define IST_WINOGRAD_WOVEN_H

#include "winograd_input.h"

/* Pixels in the ring of at least two groups: a power of two, as many rows as they may lie in. */
static int64_t ring_of(const ist_window *w, const tiling *t) {
    int64_t rows = 2 * ((2 * TILES + t->wide - 2) / t->wide + 1) + 3, ring = 16;
    while (ring < rows * w->in[2]) ring *= 2;
    return ring;
}

/* Bytes of a group's transformed tiles, two of which are needed, and of the ring. */
static int64_t ring_bytes(const ist_window *w, const tiling *t) { return 2 * (ring_of(w, t) + 1) * w->channels; }

#if defined(__AVX512BF16__)

/* Where a thread stands. */
typedef struct weave {
    const input *in;
    char *ring;       /* [channel block, pixels + 1, BLOCK] */
    int64_t pixels;   /* in the ring */
    int64_t next;     /* the pixel that is normalised next */
    int64_t end;      /* as many may be: those behind have no room yet, or are not needed */
    int64_t from, to; /* the pixels that the group needs whose tiles were found last */
    place tile;       /* the one behind them */
    uint32_t at[TILES][POINTS]; /* of each of their pixels: its place in the ring, in bytes */
} weave;

/* The pixel behind the last one under the tile at p. */
static int64_t behind(const input *in, place p) {
    const ist_window *w = in->window;
    int64_t rows = p.n * w->in[1] + min64(p.row - w->padding[1] + 4, w->in[1]);
    return min64(rows, w->batch * w->in[1]) * w->in[2];
}

/* Finds the pixels of the next group. */
static void find_pixels(weave *s) {
    const ist_window *w = s->in->window;
    const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i down = _mm512_srli_epi32(count, 2), across = _mm512_and_si512(count, _mm512_set1_epi32(3));
    __m512i high = _mm512_set1_epi32((int)w->in[1]), wide = _mm512_set1_epi32((int)w->in[2]);
    __m512i pixels = _mm512_set1_epi32((int)s->pixels), mask = _mm512_set1_epi32((int)s->pixels - 1);
    place p = s->tile, last = p;
    s->from = (p.n * w->in[1] + (p.row < w->padding[1] ? 0 : min64(p.row - w->padding[1], w->in[1]))) * w->in[2];
    for (int t = 0; t < TILES; t++, p = place_after(&s->in->tiles, p)) {
        __m512i row = _mm512_add_epi32(_mm512_set1_epi32((int)(p.row - w->padding[1])), down);
        __m512i column = _mm512_add_epi32(_mm512_set1_epi32((int)(p.column - w->padding[2])), across);
        __mmask16 inside = _mm512_cmplt_epu32_mask(row, high) & _mm512_cmplt_epu32_mask(column, wide);
        __m512i at = _mm512_add_epi32(_mm512_mullo_epi32(row, wide), column);
        at = _mm512_and_si512(_mm512_add_epi32(at, _mm512_set1_epi32((int)(p.n * w->in[1] * w->in[2]))), mask);
        _mm512_storeu_si512(s->at[t], _mm512_slli_epi32(_mm512_mask_mov_epi32(pixels, inside, at), 6));
        last = p;
    }
    s->tile = p;
    s->to = behind(s->in, last);
}

/* ---- Normalised pixels ---- */

/* The norm's numbers of a block of channels, and where they are. */
typedef struct block {
    const float *mean, *factor, *beta;
    float least;
    const uint16_t *x; /* of the pixel that is normalised next */
    int64_t ld, pixel, mask;
    char *ring;
} block;

INLINE block block_at(const weave *s, int64_t c) {
    const split_norm *n = &s->in->norm;
    int64_t ld = s->in->ldx;
    return (block){n->numbers.mean + c, n->numbers.factor + c, n->numbers.beta + c, n->least, s->in->x + s->next * ld + c, ld,
                   s->next, s->pixels - 1, s->ring + (s->pixels + 1) * 2 * c};
}

INLINE void normalise_pixel(block *b) {
    norm_lanes even = {lanes_at(b->mean), lanes_at(b->factor), lanes_at(b->beta)};
    norm_lanes odd = {lanes_at(b->mean + LANES), lanes_at(b->factor + LANES), lanes_at(b->beta + LANES)};
    uint16_t *to = (uint16_t *)(b->ring + (b->pixel++ & b->mask) * 2 * BLOCK);
    normalise_block(b->x, even, odd, _mm512_set1_ps(b->least), to);
    b->x += b->ld;
}

/* Those that the next group needs and that are not there yet. */
static void normalise_needed(weave *s) {
    for (int64_t c = 0; c < s->in->window->channels; c += BLOCK) {
        block b = block_at(s, c);
        while (b.pixel < s->to) normalise_pixel(&b);
    }
    if (s->next < s->to) s->next = s->to;
}

/* Before the first of the tiles [first, last). */
static weave weave_of(const input *in, char *ring, int64_t first) {
    const ist_window *w = in->window;
    weave s = {.in = in, .ring = ring, .pixels = ring_of(w, &in->tiles), .tile = place_of(&in->tiles, first)};
    for (int64_t c = 0; c < w->channels; c += BLOCK)
        memset(block_at(&s, c).ring + s.pixels * 2 * BLOCK, 0, 2 * BLOCK);
    find_pixels(&s);
    s.next = s.from;
    normalise_needed(&s);
    return s;
}

/* Finds the next group, when the one before it has been transformed; pixels up to `end` will be needed. */
static void turn_to_next(weave *s, int64_t end) {
    find_pixels(s);
    normalise_needed(s);
    s->end = min64(end, s->from + s->pixels);
}

/* ---- Transformed points ---- */

/* A point of transformed tiles: the sum or difference across of two pairs of pixels' sums or differences down. */
typedef struct corner {
    const uint32_t *a, *b, *c, *d; /* upper and lower, of the one column and of the other */
    const char *ring;
    uint16_t *to;
} corner;

/* Of a group that is transformed to `to`, one after the other, block by block of channels, so that few pixels are in use. */
INLINE corner corner_of(const weave *s, int64_t number, uint16_t *to) {
    static const int8_t first[4] = {0, 1, 2, 1}, second[4] = {2, 2, 1, 3};
    int64_t point = number % POINTS, a = first[point % 4], b = second[point % 4];
    const uint32_t *up = s->at[0] + 4 * first[point / 4], *low = s->at[0] + 4 * second[point / 4];
    return (corner){up + a, low + a, up + b, low + b, s->ring + number / POINTS * (s->pixels + 1) * 2 * BLOCK,
                    to + number * POINT};
}

INLINE floats plus_or_minus(int sum, floats a, floats b) { return sum ? plus(a, b) : minus(a, b); }

/* down, across: whether it is a sum. */
INLINE void transform_corner(int down, int across, corner k, int64_t t) {
    const char *a = k.ring + k.a[t * POINTS], *b = k.ring + k.b[t * POINTS];
    const char *c = k.ring + k.c[t * POINTS], *d = k.ring + k.d[t * POINTS];
    floats x = floats_of(_mm512_loadu_si512(a)), y = floats_of(_mm512_loadu_si512(b));
    x = plus_or_minus(down, x, y);
    /* One column behind the other: there are few registers beside the sums of products. */
    __asm__ volatile("" : "+v"(x.even), "+v"(x.odd) : : "memory");
    y = plus_or_minus(down, floats_of(_mm512_loadu_si512(c)), floats_of(_mm512_loadu_si512(d)));
    x = plus_or_minus(across, x, y);
    _mm512_storeu_si512(k.to + t * BLOCK, (__m512i)_mm512_cvtne2ps_pbh(x.odd, x.even));
}

/* f, with whether corner `number` is a sum down and across as its first arguments. */
#define SIGNED(number, f, ...) \
    do { \
        if ((number) % 16 == 5) f(1, 1, __VA_ARGS__); \
        else if ((number) % 16 / 4 == 1) f(1, 0, __VA_ARGS__); \
        else if ((number) % 4 == 1) f(0, 1, __VA_ARGS__); \
        else f(0, 0, __VA_ARGS__); \
    } while (0)

/* A group's transformed tiles, at once. */
static void transform_group(const weave *s, uint16_t *to) {
    for (int64_t i = 0; i < s->in->window->channels / BLOCK * POINTS; i++) {
        corner k = corner_of(s, i, to);
        for (int64_t t = 0; t < TILES; t++) SIGNED(i, transform_corner, k, t);
    }
}

/* ---- Products ---- */

/* A pair of channels of a tile, for all output channels. */
INLINE __m512bh pair_at(const char *x) {
    int32_t pair;
    memcpy(&pair, x, 4);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* A pair of channels of all tiles. */
INLINE void add_products(__m512 s[TILES][2], const char *row, const char *column) {
    __m512bh w0 = (__m512bh)_mm512_loadu_si512(column), w1 = (__m512bh)_mm512_loadu_si512(column + 64);
    UNROLL for (int t = 0; t < TILES; t++) {
        __m512bh x = pair_at(row + t * 2 * BLOCK);
        s[t][0] = _mm512_dpbf16_ps(s[t][0], x, w0);
        s[t][1] = _mm512_dpbf16_ps(s[t][1], x, w1);
    }
}

INLINE void store_sums(__m512 s[TILES][2], float *sum) {
    UNROLL for (int t = 0; t < TILES; t++) {
        _mm512_storeu_ps(sum + t * BLOCK, s[t][0]);
        _mm512_storeu_ps(sum + t * BLOCK + LANES, s[t][1]);
    }
}

/* A block's pairs of channels: the first TILES, with a corner of the next group's tiles; and the others, with pixels. */
#define AGAIN _Pragma("GCC unroll 1") for
enum { ASIDE = LANES - TILES };

INLINE void add_with_corner(int down, int across, corner k, __m512 s[TILES][2], const char *row, const char *column) {
    AGAIN (int64_t t = 0; t < TILES; t++, row += 4, column += 4 * BLOCK) {
        add_products(s, row, column);
        transform_corner(down, across, k, t);
    }
}

INLINE void add_with_pixels(const weave *w, int64_t c, __m512 s[TILES][2], const char *row, const char *column) {
    block b = block_at(w, c);
    AGAIN (int64_t i = 0; i < ASIDE; i++, row += 4, column += 4 * BLOCK) {
        add_products(s, row, column);
        normalise_pixel(&b);
        __builtin_prefetch(b.x + ASIDE * POINTS * b.ld, 0, 3);
    }
}

/* The products of a point: of v with u, whose blocks of channels are POINTS * POINT and BLOCK * BLOCK elements apart; as many
 * of the next group's corners are transformed. */
static __attribute__((noinline)) void multiply_woven(weave *w, int64_t point, const uint16_t *v, const uint16_t *u,
                                                     uint16_t *to, float *sum) {
    int64_t blocks = w->in->window->channels / BLOCK;
    int more = w->next + ASIDE <= w->end;
    __m512 s[TILES][2];
    UNROLL for (int t = 0; t < TILES; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (int64_t c = 0; c < blocks; c++) {
        const char *row = (const char *)(v + (c * POINTS + point) * POINT), *column = (const char *)(u + c * BLOCK * BLOCK);
        corner k = corner_of(w, point * blocks + c, to);
        SIGNED(point * blocks + c, add_with_corner, k, s, row, column);
        row += 4 * TILES;
        column += 4 * BLOCK * TILES;
        if (more) add_with_pixels(w, c * BLOCK, s, row, column);
        else
            AGAIN (int64_t i = 0; i < ASIDE; i++) add_products(s, row + 4 * i, column + 4 * BLOCK * i);
    }
    if (more) w->next += ASIDE;
    store_sums(s, sum);
}

#endif

#endif
