/*
 * The input of Winograd's convolution, transformed: B'x B of every tile. A row of tiles is walked along, as two of a tile's
 * columns are the next one's too, and what they give combined along the height is kept in registers.
 */
#ifndef IST_WINOGRAD_INPUT_H
#define IST_WINOGRAD_INPUT_H

#include "winograd_floats.h"

/* A group: so many tiles lie beside each other once transformed. */
#define TILES 12

/* From one point to the next, in transformed planes and in sums: a constant, so that no address is computed. */
#define POINT (TILES * BLOCK)

#if defined(__AVX512BF16__)

/* Which lines are made: of a picture, up to `next`, the columns [from, to). */
typedef struct ready {
    int64_t picture, next, from, to;
} ready;

#define NOTHING_READY ((ready){-1, 0, 0, 0})

/* What is transformed, and where its lines lie once they are normalised or settled. */
typedef struct input {
    const ist_window *window;
    tiling tiles;
    const uint16_t *x;
    int64_t ldx;
    split_norm norm;
    const ist_owed *owed; /* what x is owed, or NULL */
    uint16_t *lines;      /* [4, columns, BLOCK]: line i of a plane at i % 4 */
    int64_t columns;
    ready *ready;         /* of one block of channels and one plane: lines of the tiles before, which are read on */
} input;

/* What lies beside the picture. */
static const uint16_t nothing[BLOCK] __attribute__((aligned(64)));

/* BLOCK channels of four lines below each other; those that lie beside the picture are `nothing`, in steps of none. */
typedef struct strip {
    const uint16_t *line[4];
    int64_t step[4], width;
} strip;

/* A column of the strip combined along the height. */
INLINE void combine(const strip *s, int64_t column, floats d[4]) {
    if (column < 0 || column >= s->width) {
        UNROLL for (int i = 0; i < 4; i++) d[i].even = d[i].odd = _mm512_setzero_ps();
        return;
    }
    floats a[4];
    UNROLL for (int i = 0; i < 4; i++) a[i] = floats_of(_mm512_loadu_si512(s->line[i] + column * s->step[i]));
    d[0] = minus(a[0], a[2]);
    d[1] = plus(a[1], a[2]);
    d[2] = minus(a[2], a[1]);
    d[3] = minus(a[1], a[3]);
}

/* The even channels lie before the odd ones: the products do not mind, as the weights do as well. */
INLINE void write_point(uint16_t *to, floats v) {
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(v.odd, v.even));
}

/* `count` tiles side by side, the first from `column` on and number `at` of its group; groups are `group` elements apart. */
static void transform_tiles(const strip *s, int64_t column, int64_t count, int64_t at, uint16_t *to, int64_t group) {
    floats a[4], b[4], c[4], d[4];
    combine(s, column, a);
    combine(s, column + 1, b);
    for (to += at * BLOCK; count > 0; count--, to += BLOCK) {
        combine(s, column += 2, c);
        UNROLL for (int i = 0; i < 4; i++) {
            write_point(to + 4 * i * POINT, minus(a[i], c[i]));
            write_point(to + (4 * i + 1) * POINT, plus(b[i], c[i]));
            write_point(to + (4 * i + 2) * POINT, minus(c[i], b[i]));
        }
        combine(s, column + 1, d);
        UNROLL for (int i = 0; i < 4; i++) {
            write_point(to + (4 * i + 3) * POINT, minus_product(b[i], d[i]));
            a[i] = c[i];
            b[i] = d[i];
        }
        if (++at == TILES) {
            at = 0;
            to += group - POINT;
        }
    }
}

/* ---- Lines that are normalised or settled ---- */

/* BLOCK channels in their order. */
INLINE void put_mixed(uint16_t *to, floats v) {
    uint16_t order[BLOCK];
    UNROLL for (int i = 0; i < BLOCK; i++) order[i] = (uint16_t)(i / 2 + i % 2 * LANES);
    __m512i words = (__m512i)_mm512_cvtne2ps_pbh(v.odd, v.even);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_loadu_si512(order), words));
}

/* BLOCK channels at x, normalised: no less than `least`. */
INLINE void normalise_block(const uint16_t *x, norm_lanes even, norm_lanes odd, __m512 least, uint16_t *to) {
    floats v = floats_of(_mm512_loadu_si512(x));
    v.even = _mm512_max_ps(least, (__m512)norm_of((lanes)v.even, even, 0));
    v.odd = _mm512_max_ps(least, (__m512)norm_of((lanes)v.odd, odd, 0));
    put_mixed(to, v);
}

/* BLOCK channels, the c-th of all on, of `count` pixels from number `pixel` on. */
static void normalise(const input *in, int64_t c, int64_t pixel, int64_t count, uint16_t *to) {
    const norm_input *n = &in->norm.numbers;
    const uint16_t *x = in->x + pixel * in->ldx + c;
    norm_lanes even = norm_lanes_at(n, c), odd = norm_lanes_at(n, c + LANES);
    __m512 least = _mm512_set1_ps(in->norm.least);
    for (; count > 0; count--, x += in->ldx, to += BLOCK) normalise_block(x, even, odd, least, to);
}

/* Pixels are fetched so many before they are settled: the processor itself foresees little of what lies far apart. */
#define PIXELS_AHEAD 24

/* The same with what it is owed; the bits that ist_settle would have stored. */
static void settle(const input *in, int64_t c, int64_t pixel, int64_t count, uint16_t *to) {
    const ist_owed *o = in->owed;
    const uint16_t *d = in->x + pixel * in->ldx + c, *x = (const uint16_t *)o->x + pixel * o->ldx + c;
    floats slope = split_at(o->slope + c), shift = split_at(o->shift + c);
    for (; count > 0; count--, d += in->ldx, x += o->ldx, to += BLOCK) {
        _mm_prefetch((const char *)(d + PIXELS_AHEAD * in->ldx), _MM_HINT_T0);
        _mm_prefetch((const char *)(x + PIXELS_AHEAD * o->ldx), _MM_HINT_T0);
        floats v = floats_of(_mm512_loadu_si512(d)), of = floats_of(_mm512_loadu_si512(x));
        v.even += _mm512_fmadd_ps(of.even, slope.even, shift.even);
        v.odd += _mm512_fmadd_ps(of.odd, slope.odd, shift.odd);
        put_mixed(to, v);
    }
}

/* Line `row` of the channels from c on, of which the first is at `line`. */
INLINE const uint16_t *line_of(const input *in, int64_t row, int64_t from) {
    return in->lines + (row % 4 * in->columns - from) * BLOCK;
}

/* The lines [row, row + 4) at the columns [from, to), from the c-th channel on, of a plane that begins at a pixel. What the
 * row of tiles above has made stays. */
static void make_ready(const input *in, ready *r, int64_t plane, int64_t c, place p, int64_t from, int64_t to) {
    const ist_window *w = in->window;
    if (r->picture != p.n || from < r->from || to > r->to || p.row > r->next)
        *r = (ready){p.n, p.row < 0 ? 0 : p.row, from, to};
    for (; r->next < min64(p.row + 4, w->in[1]); r->next++) {
        int64_t pixel = plane + r->next * w->in[2] + r->from, count = r->to - r->from;
        uint16_t *to_line = (uint16_t *)line_of(in, r->next, 0);
        if (in->owed) settle(in, c, pixel, count, to_line);
        else normalise(in, c, pixel, count, to_line);
    }
}

/* ---- Planes ---- */

/* `count` tiles side by side, of which the first has its first column and line at p. */
static strip strip_of(const input *in, ready *r, int64_t plane, int64_t c, place p, int64_t count) {
    const ist_window *w = in->window;
    int64_t from = p.column < 0 ? 0 : p.column, to = min64(p.column + 2 * count + 2, w->in[2]);
    int made = in->norm.on || in->owed;
    strip s = {.width = w->in[2]};
    if (made) make_ready(in, r, plane, c, p, from, to);
    for (int64_t i = 0; i < 4; i++) {
        int64_t row = p.row + i;
        s.line[i] = nothing;
        if (row < 0 || row >= w->in[1]) continue;
        s.line[i] = made ? line_of(in, row, r->from) : in->x + (plane + row * w->in[2]) * in->ldx + c;
        s.step[i] = made ? BLOCK : in->ldx;
    }
    return s;
}

/* The tiles [first, first + count) of plane z of the pictures: to [group, channel block, POINTS, TILES, BLOCK]. */
static void transform_plane(const input *in, int64_t first, int64_t count, int64_t z, uint16_t *to) {
    const ist_window *w = in->window;
    int64_t size = w->in[1] * w->in[2], group = w->channels * POINTS * TILES;
    for (int64_t c = 0; c < w->channels; c += BLOCK, to += POINTS * POINT) {
        ready none = NOTHING_READY, *r = w->channels == BLOCK && w->in[0] == 1 ? in->ready : &none;
        for (int64_t t = 0, many; t < count; t += many) {
            place p = place_of(&in->tiles, first + t);
            many = min64(in->tiles.wide - p.column / 2, count - t);
            p.row -= w->padding[1];
            p.column -= w->padding[2];
            strip s = strip_of(in, r, (p.n * w->in[0] + z) * size, c, p, many);
            transform_tiles(&s, p.column, many, t % TILES, to + t / TILES * group, group);
        }
    }
}

#endif

#endif
