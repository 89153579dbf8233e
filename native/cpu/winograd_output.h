/*
 * The output of Winograd's convolution: A'm A of every tile's sums m, rounded; or, for a data gradient, through the backward
 * pass of the norm that made the convolution's input.
 */
#ifndef IST_WINOGRAD_OUTPUT_H
#define IST_WINOGRAD_OUTPUT_H

#include "winograd_input.h"

#if defined(__AVX512BF16__)

/* Where a tile is written: its first pixel, how far the next one to the right is and the one below, 0 if there is none. */
typedef struct spot {
    int64_t pixel, right, below;
} spot;

typedef struct output {
    const ist_window *window;
    tiling tiles;
    const float *bias;
    uint16_t *y;
    int64_t ldy;
    const ist_norm_gradient *gradient; /* or NULL */
    norm_input norm;
    int stream;   /* whether y is too large to be in the caches when it is read */
    int measured; /* whether y's statistics are taken */
    float *parts; /* [plane, group, 2, out_channels]: sums over a group's pixels of dz and dz (x - mean), or of y and its square */
} output;

/* What is done to pixels before they are written: nothing; a norm's backward pass, without ReLU or with it; statistics. */
enum { PLAIN = -1, NORM, NORM_RELU, MEASURE };

/* y of 16 channels, from their sums [4, 4, TILES, BLOCK]; or [2, 4, TILES, BLOCK], combined along the height already. */
INLINE void transform_output(int combined, const float *m, lanes y[4]) {
    lanes s[8];
    UNROLL for (int i = 0; i < 4; i++) {
        lanes a = lanes_at(m + i * POINT), b = lanes_at(m + (4 + i) * POINT);
        if (!combined) {
            lanes c = lanes_at(m + (8 + i) * POINT), d = lanes_at(m + (12 + i) * POINT);
            a = a + b + c;
            b = b - c - d;
        }
        s[i] = a;
        s[4 + i] = b;
    }
    UNROLL for (int i = 0; i < 2; i++) {
        y[2 * i] = s[4 * i] + s[4 * i + 1] + s[4 * i + 2];
        y[2 * i + 1] = s[4 * i + 1] - s[4 * i + 2] - s[4 * i + 3];
    }
    /* Here, and not in the branches where each is used: there they would need more registers than there are. */
    __asm__("" : "+v"(y[0]), "+v"(y[1]), "+v"(y[2]), "+v"(y[3]));
}

/* Of BLOCK channels: what the gradient flows through, and the sums over the pixels so far: of the first and the second half, or
 * if measured, of even and odd channels, which are cheaper to take apart. */
typedef struct flow {
    norm_lanes low, high;
    lanes sum[2], product[2];
} flow;

/* Channels in order from a vector of them: words `from` on, each shifted up. */
INLINE lanes channels_of(__m512i x, int from) {
    uint16_t at[BLOCK];
    for (int i = 0; i < BLOCK; i++) at[i] = (uint16_t)(from + i / 2);
    return (lanes)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_loadu_si512(at), x);
}

INLINE void measure_pixel(flow *f, __m512i words) {
    lanes even = (lanes)_mm512_slli_epi32(words, 16), odd = (lanes)_mm512_and_si512(words, _mm512_set1_epi32(~0xffff));
    f->sum[0] += even;
    f->sum[1] += odd;
    f->product[0] += even * even;
    f->product[1] += odd * odd;
}

/* Pixels from a channel on, so many bytes apart. */
typedef struct rows {
    char *at;
    int64_t ld;
} rows;

INLINE rows rows_of(const void *pixels, int64_t ld, int64_t c) { return (rows){(char *)pixels + 2 * c, 2 * ld}; }

/* What a block of channels is made from and where it goes; x and add as the norm's gradient has them. */
typedef struct ends {
    rows x, add, y;
    int added, stream;
} ends;

INLINE ends ends_of(const output *o, int64_t c) {
    const ist_norm_gradient *g = o->gradient;
    ends e = {.y = rows_of(o->y, o->ldy, c), .stream = o->stream};
    if (!g) return e;
    e.x = rows_of(g->x, g->ldx, c);
    e.added = g->add != NULL;
    if (e.added) e.add = rows_of(g->add, g->ldadd, c);
    return e;
}

/* A block of channels of a pixel. */
INLINE void write_pixel(const ends *e, int mode, flow *f, int64_t pixel, lanes low, lanes high) {
    if (mode == NORM || mode == NORM_RELU) {
        __m512i x = _mm512_loadu_si512(e->x.at + pixel * e->x.ld);
        lanes adds[2] = {{0}};
        if (e->added) {
            __m512i add = _mm512_loadu_si512(e->add.at + pixel * e->add.ld);
            adds[0] = channels_of(add, 0);
            adds[1] = channels_of(add, LANES);
        }
        low = norm_gradient_of(low, channels_of(x, 0), adds[0], f->low, mode == NORM_RELU, f->sum, f->product);
        high = norm_gradient_of(high, channels_of(x, LANES), adds[1], f->high, mode == NORM_RELU, f->sum + 1,
                                f->product + 1);
    }
    void *to = e->y.at + pixel * e->y.ld;
    __m512i words = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    if (mode == MEASURE) measure_pixel(f, words);
    if (e->stream) _mm512_stream_si512(to, words);
    else _mm512_storeu_si512(to, words);
}

/* What one group gave: `count` tiles, the block of channels from c on. */
typedef struct result {
    const spot *spots;
    int64_t count, c;
    const float *sums;
} result;

/* Adds to the sums in f. */
INLINE void write_ends(const output *o, int combined, int mode, const ends e, flow *f, const result *r) {
    flow here = *f; /* in registers */
    lanes bias[2] = {{0}};
    if (o->bias) {
        bias[0] = lanes_at(o->bias + r->c);
        bias[1] = lanes_at(o->bias + r->c + LANES);
    }
    const float *sums = r->sums;
    for (const spot *s = r->spots, *end = s + r->count; s < end; s++, sums += BLOCK) {
        int64_t at = s->pixel, right = s->right, below = s->below;
        lanes low[4], high[4];
        transform_output(combined, sums, low);
        transform_output(combined, sums + LANES, high);
        if (o->bias)
            UNROLL for (int i = 0; i < 4; i++) {
                low[i] += bias[0];
                high[i] += bias[1];
            }
        write_pixel(&e, mode, &here, at, low[0], high[0]);
        if (right) write_pixel(&e, mode, &here, at + right, low[1], high[1]);
        if (below) write_pixel(&e, mode, &here, at + below, low[2], high[2]);
        if (right && below) write_pixel(&e, mode, &here, at + right + below, low[3], high[3]);
    }
    *f = here;
}

/* The same. Beside a norm's backward pass even branches that always go one way cost time: there each way has its loop. */
INLINE void write_tiles(const output *o, int combined, int mode, flow *f, const result *r) {
    ends e = ends_of(o, r->c);
    if (mode < NORM || mode > NORM_RELU || e.added) {
        write_ends(o, combined, mode, e, f, r);
        return;
    }
    e.added = 0;
    if (e.stream) {
        e.stream = 1;
        write_ends(o, combined, mode, e, f, r);
    } else write_ends(o, combined, mode, e, f, r);
}

static void write_plain(const output *o, int combined, const result *r) {
    flow none = {0};
    if (combined) write_tiles(o, 1, PLAIN, &none, r);
    else write_tiles(o, 0, PLAIN, &none, r);
}

/* Stores even and odd channels in their order. */
INLINE void store_in_order(float *to, lanes even, lanes odd) {
    const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    _mm512_storeu_ps(to, _mm512_permutex2var_ps((__m512)even, first, (__m512)odd));
    _mm512_storeu_ps(to + LANES, _mm512_permutex2var_ps((__m512)even, second, (__m512)odd));
}

/* part: of the group's sums, [2, out_channels]. */
static void write_measured(const output *o, int combined, const result *r, float *part) {
    flow f = {0};
    if (combined) write_tiles(o, 1, MEASURE, &f, r);
    else write_tiles(o, 0, MEASURE, &f, r);
    store_in_order(part + r->c, f.sum[0], f.sum[1]);
    store_in_order(part + o->window->out_channels + r->c, f.product[0], f.product[1]);
}

/* part: of the group's sums, [2, out_channels]. */
static void write_gradient(const output *o, int combined, const result *r, float *part) {
    int64_t k = o->window->out_channels;
    flow f = {norm_lanes_at(&o->norm, r->c), norm_lanes_at(&o->norm, r->c + LANES), {{0}}, {{0}}};
    if (combined && o->norm.relu) write_tiles(o, 1, NORM_RELU, &f, r);
    else if (combined) write_tiles(o, 1, NORM, &f, r);
    else if (o->norm.relu) write_tiles(o, 0, NORM_RELU, &f, r);
    else write_tiles(o, 0, NORM, &f, r);
    UNROLL for (int i = 0; i < 2; i++) {
        _mm512_storeu_ps(part + r->c + i * LANES, (__m512)f.sum[i]);
        _mm512_storeu_ps(part + k + r->c + i * LANES, (__m512)f.product[i]);
    }
}

/* Where the tiles [first, first + count) of plane z are written. */
static void find_spots(const output *o, int64_t first, int64_t count, int64_t z, spot *spots) {
    const int64_t *size = o->window->out;
    place p = place_of(&o->tiles, first);
    for (const spot *end = spots + count; spots < end; spots++, p = place_after(&o->tiles, p))
        *spots = (spot){((p.n * size[0] + z) * size[1] + p.row) * size[2] + p.column, p.column + 1 < size[2],
                        p.row + 1 < size[1] ? size[2] : 0};
}

INLINE void fetch_tile(const spot *s, const void *rows, int64_t ld, int64_t c) {
    const uint16_t *at = (const uint16_t *)rows + s->pixel * ld + c;
    __builtin_prefetch(at, 0, 3);
    __builtin_prefetch(at + s->right * ld, 0, 3);
    __builtin_prefetch(at + s->below * ld, 0, 3);
    __builtin_prefetch(at + (s->right + s->below) * ld, 0, 3);
}

/* Brings what is touched when this tile's block of channels is written into the cache. */
INLINE void fetch_output(const output *o, const spot *s, int64_t c) {
    const ist_norm_gradient *g = o->gradient;
    if (!o->stream) fetch_tile(s, o->y, o->ldy, c);
    if (!g) return;
    fetch_tile(s, g->x, g->ldx, c);
    if (g->add && g->add != o->y) fetch_tile(s, g->add, g->ldadd, c);
}

/* Of the channels [from, to): sums [2, out_channels] of the parts, in their order. */
static void sum_parts(const output *o, int64_t pieces, double *sums, int64_t from, int64_t to) {
    int64_t k = o->window->out_channels;
    memset(sums + from, 0, (size_t)(to - from) * sizeof *sums);
    memset(sums + k + from, 0, (size_t)(to - from) * sizeof *sums);
    for (int64_t i = 0; i < 2 * pieces; i++) {
        const float *part = o->parts + i * k;
        double *sum = sums + i % 2 * k;
        SIMD for (int64_t c = from; c < to; c++) sum[c] += part[c];
    }
}

#endif

#endif
