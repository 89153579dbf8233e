/*
 * Forward convolution of one group in float32, as a product of matrices: pixels x terms (what lies under a pixel's window,
 * gathered panel by panel) times terms x output channels (the weights, packed first).
 *
 * Its point is the error of the sums. A plain float32 sum of thousands of terms is off by tens of roundings; over a network
 * that is most of the error of the logits, and it turns the sign of values near zero, whose ReLU then passes or stops a whole
 * gradient. Here registers sum BLOCK terms only; then these are added to a running sum in memory, and what that addition
 * rounded away stays in the register as the start of the next block (Kahan 1965, a block a time). What is left is the
 * rounding inside a block, at the price of three additions every BLOCK terms.
 *
 * An output's terms are summed in one fixed order, so the bits do not depend on the number of threads.
 */
#include "window.h"

/* PIXELS x VECTORS sums, one vector of x and VECTORS of w fill the registers. */
#if defined(__AVX512F__)
#define LANES 16
#define PIXELS 14
#elif defined(__AVX2__)
#define LANES 8
#define PIXELS 6
#else
#define LANES 4
#define PIXELS 6
#endif
#define VECTORS 2
#define COLUMNS (VECTORS * LANES)
#define BLOCK 6

/* Terms gathered at a time: PIXELS rows of x and as many rows of w as terms stay in the first cache. */
#define TERMS 192
#define STRIDE (TERMS + 16)

/* A panel of this many tiles, with its sums against this many channels, stays in the second cache. */
#define PANEL 12
#define GROUP (256 / COLUMNS)

/* Rows of w fetched ahead from farther caches. */
#define AHEAD 16

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* How a convolution is cut: into tiles of PIXELS pixels and blocks of COLUMNS output channels. */
typedef struct cut {
    int64_t given, terms; /* kernel positions x channels; the same with zeros up to a whole BLOCK */
    int64_t run;          /* kernel positions that lie side by side in memory */
    int64_t pixels, tiles, blocks;
    int64_t panel, group; /* tiles gathered at a time; blocks that they are then multiplied with */
} cut;

static int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }

static cut cut_of(const ist_window *w) {
    cut s;
    s.given = volume(w->kernel) * w->channels;
    s.terms = over(s.given, BLOCK) * BLOCK;
    s.run = w->dilation[2] == 1 ? w->kernel[2] : 1;
    s.pixels = w->batch * volume(w->out);
    s.tiles = over(s.pixels, PIXELS);
    s.blocks = over(w->out_channels, COLUMNS);
    s.panel = min64(s.tiles, PANEL);
    s.group = min64(s.blocks, GROUP);
    return s;
}

/* Bytes of packed weights, and of what one thread works in: gathered terms, sums and what these rounded away. */
static int64_t packed_bytes(const cut *s) { return 4 * s->blocks * s->terms * COLUMNS; }
static int64_t thread_bytes(const cut *s) { return room_bytes(4 * s->panel * PIXELS * (STRIDE + 2 * s->group * COLUMNS)); }

static int dense_check(const char *call, const ist_window *w) {
    int status = window_check(call, w);
    if (status) return status;
    if (w->groups != 1 || w->out_channels < 1)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld output channels in %lld groups; this is for one group", call,
                        (long long)w->out_channels, (long long)w->groups);
    return IST_OK;
}

int KERNEL(conv_dense_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = dense_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(window);
    *bytes = packed_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

/* What one thread reads and where it works. */
typedef struct job {
    const ist_window *window;
    cut s;
    const float *x, *end, *packed, *bias; /* end: of x */
    float *y, *panel, *sums;
} job;

/* ---- Weights: packed [block, tap, channel, COLUMNS] of w [out_channels, channels, tap] ---- */

/* So many channels at a time that each line of w that they touch is still in the first cache when it is touched again. */
#define PACK_CHANNELS 16

static void pack(const ist_window *w, const cut *s, const float *weights, float *packed, int64_t from, int64_t to) {
    int64_t taps = volume(w->kernel), c = w->channels, parts = over(c, PACK_CHANNELS), given = s->given;
    for (int64_t at = from; at < to; at++) {
        int64_t block = at / parts, first = at % parts * PACK_CHANNELS, end = min64(c, first + PACK_CHANNELS);
        int64_t n = min64(COLUMNS, w->out_channels - block * COLUMNS);
        float *rows = packed + block * s->terms * COLUMNS;
        const float *columns = weights + block * COLUMNS * given;
        for (int64_t i = first; i < end; i++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                float *row = rows + (tap * c + i) * COLUMNS;
                const float *column = columns + i * taps + tap;
                if (n == COLUMNS) {
                    for (int64_t j = 0; j < COLUMNS; j++) row[j] = column[j * given];
                } else {
                    for (int64_t j = 0; j < n; j++) row[j] = column[j * given];
                    for (int64_t j = n; j < COLUMNS; j++) row[j] = 0;
                }
            }
        }
        if (end == c) memset(rows + given * COLUMNS, 0, (size_t)((s->terms - given) * COLUMNS) * 4);
    }
}

/* ---- Input: rows of terms ---- */

/* Where a pixel's window begins: the input position, and which float of x that is; both may lie in the padding. */
typedef struct window_start {
    int64_t i[3], at;
    int inside; /* the whole window lies on the input */
} window_start;

static void starts_of(const ist_window *w, int64_t pixel, int64_t pixels, window_start *list) {
    int64_t outs = volume(w->out), n = pixel / outs, o[3];
    unravel(pixel % outs, w->out, o);
    for (window_start *s = list; s < list + pixels; s++) {
        s->inside = 1;
        for (int d = 0; d < 3; d++) {
            s->i[d] = o[d] * w->stride[d] - w->padding[d];
            s->inside &= s->i[d] >= 0 && s->i[d] + w->dilation[d] * (w->kernel[d] - 1) < w->in[d];
        }
        s->at = (((n * w->in[0] + s->i[0]) * w->in[1] + s->i[1]) * w->in[2] + s->i[2]) * w->channels;
        for (int d = 2; d >= 0 && ++o[d] == w->out[d]; d--) {
            o[d] = 0;
            n += d == 0;
        }
    }
}

/* Terms that lie side by side in x. */
typedef struct stretch {
    int64_t at, n;       /* floats, counted from where the window begins */
    int64_t k[3], first; /* the run that they are of: its position from there; which of its floats is the first */
} stretch;

/* The stretches of the terms [from, to); returns how many. */
static int64_t stretches(const ist_window *w, const cut *s, int64_t from, int64_t to, stretch *list) {
    int64_t c = w->channels, run = s->run * c, runs = w->kernel[2] / s->run, count = 0;
    while (from < to) {
        int64_t r = from / run, first = from % run, n = min64(run - first, to - from);
        stretch *t = &list[count++];
        t->k[2] = r % runs * w->dilation[2];
        t->k[1] = r / runs % w->kernel[1] * w->dilation[1];
        t->k[0] = r / runs / w->kernel[1] * w->dilation[0];
        t->at = ((t->k[0] * w->in[1] + t->k[1]) * w->in[2] + t->k[2]) * c + first;
        t->first = first;
        t->n = n;
        from += n;
    }
    return count;
}

/* Copies n floats; may write up to LANES - 1 more, and reads as many more if they lie before `end`. */
INLINE void copy_floats(float *to, const float *from, int64_t n, const float *end) {
    if (n < LANES && from + LANES > end) {
        memcpy(to, from, (size_t)n * 4);
        return;
    }
    int64_t i = 0;
    do {
        *(vector *)(to + i) = *(const vector *)(from + i);
        i += LANES;
    } while (i + LANES <= n);
    if (i < n) *(vector *)(to + n - LANES) = *(const vector *)(from + n - LANES);
}

/* One row of a panel: a stretch under a window that may lie on the padding. */
static void gather_stretch(const ist_window *w, const float *x, const window_start *s, const stretch *t,
                           float *row) {
    int64_t i0 = s->i[0] + t->k[0], i1 = s->i[1] + t->k[1], i2 = s->i[2] + t->k[2];
    /* [low, high) of the stretch lies on the input. */
    int64_t low = -i2 * w->channels - t->first, high = (w->in[2] - i2) * w->channels - t->first;
    low = low < 0 ? 0 : min64(low, t->n);
    high = high < low || i0 < 0 || i0 >= w->in[0] || i1 < 0 || i1 >= w->in[1] ? low : min64(high, t->n);
    memset(row, 0, (size_t)t->n * 4);
    memcpy(row + low, x + s->at + t->at + low, (size_t)(high - low) * 4);
}

static void gather(const job *j, const window_start *s, const stretch *list, int64_t count, float *row) {
    for (const stretch *t = list; t < list + count; row += t->n, t++) {
        if (s->inside) copy_floats(row, j->x + s->at + t->at, t->n, j->end);
        else gather_stretch(j->window, j->x, s, t, row);
    }
}

/* A panel of terms [k, k + terms) of the pixels whose windows begin at starts. */
static void gather_panel(const job *j, const window_start *starts, int64_t pixels, int64_t k, int64_t terms) {
    stretch list[TERMS];
    int64_t given = min64(terms, j->s.given - k), count = stretches(j->window, &j->s, k, k + given, list);
    for (int64_t p = 0; p < pixels; p++) {
        float *row = j->panel + p * STRIDE;
        gather(j, starts + p, list, count, row);
        for (int64_t i = given; i < terms; i++) row[i] = 0;
    }
}

/* ---- The product ---- */

#define UNROLL _Pragma("GCC unroll 32")
#define EACH_SUM UNROLL for (int p = 0; p < PIXELS; p++) UNROLL for (int v = 0; v < vectors; v++)

/* Adds `terms` terms, whole BLOCKs, of PIXELS rows of x times `vectors` vectors of w to sum and rest [PIXELS, COLUMNS].
 * first: what a row of sums begins with, or NULL if they have begun. */
INLINE void multiply(int vectors, const float *x, const float *w, int64_t terms, const float *first,
                     float *restrict sum, float *restrict rest) {
    vector part[PIXELS][VECTORS];
    EACH_SUM {
        const float *at = first ? first + v * LANES : rest + p * COLUMNS + v * LANES;
        part[p][v] = *(const vector *)at;
        if (first) *(vector *)(sum + p * COLUMNS + v * LANES) = (vector){0};
    }
    for (const float *end = x + terms; x < end; x += BLOCK) {
        for (int64_t k = 0; k < BLOCK; k++, w += COLUMNS) {
            vector row[VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) {
                row[v] = *(const vector *)(w + v * LANES);
                __builtin_prefetch(w + AHEAD * COLUMNS + v * LANES);
            }
            EACH_SUM part[p][v] += x[p * STRIDE + k] * row[v];
        }
        EACH_SUM {
            vector *at = (vector *)(sum + p * COLUMNS + v * LANES), old = *at, new = old + part[p][v];
            part[p][v] -= new - old;
            *at = new;
        }
        /* Else the compiler would take all sums out of memory, into registers that there are not. */
        __asm__ volatile("" ::: "memory");
    }
    EACH_SUM *(vector *)(rest + p * COLUMNS + v * LANES) = part[p][v];
}

static __attribute__((noinline)) void multiply_block(const float *x, const float *w, int64_t terms, const float *first,
                                                     float *sum) {
    multiply(VECTORS, x, w, terms, first, sum, sum + PIXELS * COLUMNS);
}

/* The last block of channels, if they fill one vector only. */
static __attribute__((noinline)) void multiply_vector(const float *x, const float *w, int64_t terms, const float *first,
                                                     float *sum) {
    multiply(1, x, w, terms, first, sum, sum + PIXELS * COLUMNS);
}

/* Sums [PIXELS, COLUMNS] of a tile and a block, and after them what was rounded away. If the terms are gathered in one
 * go, then a sum is complete before the next begins, in the same place. */
static float *sums_of(const job *j, int64_t tile, int64_t block) {
    int64_t place = j->s.terms <= TERMS ? 0 : tile * j->s.group + block % j->s.group;
    return j->sums + place * 2 * PIXELS * COLUMNS;
}

/* The bias of a block, or zeros. */
static void bias_of(const job *j, int64_t block, float *first) {
    int64_t n = j->bias ? min64(COLUMNS, j->window->out_channels - block * COLUMNS) : 0;
    for (int64_t i = 0; i < COLUMNS; i++) first[i] = i < n ? j->bias[block * COLUMNS + i] : 0;
}

INLINE void write_rows(const float *sum, float *y, int64_t pixels, int64_t ldy, int64_t n) {
    for (int64_t p = 0; p < pixels; p++, sum += COLUMNS, y += ldy)
        SIMD for (int64_t i = 0; i < n; i++) y[i] = sum[i] + sum[PIXELS * COLUMNS + i];
}

static void write_sums(const job *j, int64_t pixel, int64_t pixels, int64_t block, const float *sum) {
    int64_t ldy = j->window->out_channels, n = min64(COLUMNS, ldy - block * COLUMNS);
    float *y = j->y + pixel * ldy + block * COLUMNS;
    if (n == COLUMNS) write_rows(sum, y, pixels, ldy, COLUMNS);
    else write_rows(sum, y, pixels, ldy, n);
}

/* All of the given pixels, at most a panel, against the blocks [from, to), at most a group. */
static void product(const job *j, int64_t pixel, int64_t pixels, int64_t from, int64_t to) {
    int64_t vectors = over(j->window->out_channels, LANES);
    float bias[COLUMNS];
    window_start starts[PANEL * PIXELS];
    starts_of(j->window, pixel, pixels, starts);
    for (int64_t k = 0; k < j->s.terms; k += TERMS) {
        int64_t terms = min64(TERMS, j->s.terms - k);
        gather_panel(j, starts, pixels, k, terms);
        for (int64_t b = from; b < to; b++) {
            const float *w = j->packed + (b * j->s.terms + k) * COLUMNS, *first = k == 0 ? bias : NULL;
            if (first) bias_of(j, b, bias);
            for (int64_t p = 0; p < pixels; p += PIXELS) {
                const float *x = j->panel + p * STRIDE;
                float *sum = sums_of(j, p / PIXELS, b);
                if (vectors - b * VECTORS >= VECTORS) multiply_block(x, w, terms, first, sum);
                else multiply_vector(x, w, terms, first, sum);
                if (k + terms == j->s.terms) write_sums(j, pixel + p, min64(PIXELS, pixels - p), b, sum);
            }
        }
    }
}

/* The shares [from, to): number s is tile s % tiles against part s / tiles of `parts` of the blocks. */
static void work(const job *j, int64_t parts, int64_t from, int64_t to) {
    while (from < to) {
        int64_t part = from / j->s.tiles, tile = from % j->s.tiles;
        int64_t tiles = min64(min64(j->s.panel, j->s.tiles - tile), to - from);
        int64_t pixel = tile * PIXELS, pixels = min64(tiles * PIXELS, j->s.pixels - pixel);
        int64_t block = j->s.blocks * part / parts, end = j->s.blocks * (part + 1) / parts;
        for (; block < end; block += j->s.group) product(j, pixel, pixels, block, min64(end, block + j->s.group));
        from += tiles;
    }
}

int KERNEL(conv_dense)(const ist_window *window, const float *x, const float *w, const float *bias, float *y,
                       void *scratch, int64_t bytes) {
    int status = dense_check(__func__, window);
    if (status) return status;
    cut s = cut_of(window);
    if (s.pixels == 0) return IST_OK;
    int64_t threads = min64((bytes - packed_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(packed_bytes(&s) + thread_bytes(&s)));
    if (s.pixels * s.terms * window->out_channels < IST_SERIAL_BELOW) threads = 1;
    float *packed = scratch;
    job all = {window, s, x, x + window->batch * volume(window->in) * window->channels, packed, bias, y,
               NULL, NULL};
    int64_t pieces = s.blocks * over(window->channels, PACK_CHANNELS);
    /* Where there are few tiles, the channels are shared among the threads as well. */
    int64_t parts = min64(s.blocks, over(4 * threads, s.tiles));
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(pieces, 1, &from, &to);
        pack(window, &s, w, packed, from, to);
        PRAGMA(omp barrier)
        job mine = all;
        mine.panel = (float *)room_in((char *)scratch + packed_bytes(&s), thread_bytes(&s));
        mine.sums = mine.panel + s.panel * PIXELS * STRIDE;
        share(s.tiles * parts, 1, &from, &to);
        work(&mine, parts, from, to);
    }
    return IST_OK;
}
