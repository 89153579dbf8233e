/*
 * Convolution with one tap in bf16, for processors whose bf16 products are the limit (AVX-512 BF16; with AMX they are not),
 * of an input that may be normalised while it is read. A tile of pixels is laid out once, normalised, and multiplied by all
 * weights; the next tile is laid out between the products of this one, in time that these leave over.
 *
 * A sum does not depend on how the work is cut, so neither do its bits on the number of threads.
 */
#include "measure.h"
#include "pointwise.h"

/* TILE pixels against BLOCK output channels: the sums fill the registers. */
#define TILE 14

/* Tiles whose statistics are taken in float32. */
#define MEASURED_TILES 8

/* How a convolution is cut. */
typedef struct cut {
    int64_t pixels, c, k;
    int64_t tiles, in, out; /* blocks of channels */
} cut;

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    return (cut){pixels, c, k, over(pixels, TILE), c / BLOCK, k / BLOCK};
}

/* Bytes of the packed weights, of the norm's factors, and of a thread's room: statistics, this tile and the next. */
static int64_t weight_bytes(const cut *s) { return 2 * s->c * s->k; }
static int64_t shared_bytes(const cut *s) { return weight_bytes(s) + 4 * s->c; }
static int64_t tile_bytes(const cut *s) { return 2 * TILE * s->c; }
static int64_t thread_bytes(const cut *s) { return room_bytes(measure_bytes(s->k) + 2 * tile_bytes(s)); }

int KERNEL(pointwise_scratch)(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(pixels, c, k);
    *bytes = shared_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)
#include "transpose.h"

/* What is done to the input. */
enum { AS_IT_IS, NORMALISED, RECTIFIED };

/* What one thread reads and where it works. */
typedef struct job {
    cut s;
    const uint16_t *x;
    int64_t ldx;
    norm_input norm;
    int mode;
    const float *w, *bias;
    uint16_t *u; /* [out block, channel pair, BLOCK, 2] */
    uint16_t *y;
    int64_t ldy;
    char *tile[2]; /* [in block, TILE, BLOCK] */
    int measured;
    measure m;
} job;

/* ---- Weights ---- */

/* The pieces [from, to): piece p is 16 output channels of input block p % in. */
static void pack(const job *j, int64_t from, int64_t to) {
    for (int64_t p = from; p < to; p++) {
        int64_t half = p / j->s.in, c = p % j->s.in * BLOCK;
        const float *w = j->w + half * 16 * j->s.c + c;
        __m512 pairs[16];
        UNROLL for (int i = 0; i < 16; i++)
            pairs[i] = (__m512)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(w + i * j->s.c + 16), _mm512_loadu_ps(w + i * j->s.c));
        uint16_t *u = j->u + half / 2 * j->s.c * BLOCK + c * BLOCK + half % 2 * 32;
        transpose(pairs, (float *)u, BLOCK, 0xffff);
    }
}

/* ---- Input ---- */

/* The pixels of a tile that is to be laid out: of each block of channels, `each` a quarter, from `next` on. */
typedef struct rows {
    const uint16_t *x[TILE];
    char *to;
    int64_t next, each;
} rows;

/* BLOCK channels of one pixel. */
INLINE void lay(int mode, const uint16_t *x, const norm_input *n, int64_t c, char *to) {
    if (mode == AS_IT_IS) {
        _mm512_storeu_si512(to, _mm512_loadu_si512(x + c));
        return;
    }
    __m512 low = (__m512)norm_of(widen(x + c), norm_lanes_at(n, c), mode == RECTIFIED);
    __m512 high = (__m512)norm_of(widen(x + c + 16), norm_lanes_at(n, c + 16), mode == RECTIFIED);
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* What is next is fetched into the first cache: fetched into the second it came late on some runs, at half the speed. */
INLINE void lay_row(int mode, const rows *r, const norm_input *n, int64_t block, int64_t t, int64_t ahead) {
    const uint16_t *x = r->x[t];
    __builtin_prefetch(x + block * BLOCK + ahead, 0, 3);
    lay(mode, x, n, block * BLOCK, r->to + (block * TILE + t) * 2 * BLOCK);
    /* Loads of the norm's numbers that are kept from row to row would take registers from the sums. */
    __asm__ volatile("" ::: "memory");
}

/* Quarter q of what a step lays of a block. Behind the last row it lies again: that costs less than a branch that is taken
 * now and then. */
INLINE void lay_quarter(int mode, const rows *r, const norm_input *n, int64_t block, int64_t q, int64_t ahead) {
    for (int64_t i = 0; i < r->each; i++)
        lay_row(mode, r, n, block, min64(r->next + q * r->each + i, TILE - 1), ahead);
}

static rows rows_of(const job *j, int64_t tile, char *to) {
    rows r = {.to = to};
    /* Behind the last pixel stands the last again. */
    for (int64_t t = 0; t < TILE; t++) r.x[t] = j->x + min64(tile * TILE + t, j->s.pixels - 1) * j->ldx;
    return r;
}

/* ---- The products ---- */

/* A tile times one block of output channels, rounded to y, whose statistics are taken unless m is NULL; between the products,
 * rows of the next tile, one at a time, as several at once are not hidden by them. */
INLINE void multiply(int mode, const char *row, const char *column, const float *bias, int64_t blocks, uint16_t *y,
                     int64_t ldy, const measure *m, int64_t channel, const rows *next, const norm_input *n,
                     int64_t ahead) {
    __m512 s[TILE][2];
    UNROLL for (int t = 0; t < TILE; t++) {
        s[t][0] = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
        s[t][1] = bias ? _mm512_loadu_ps(bias + 16) : _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < blocks; b++, row += 2 * BLOCK * (TILE - 1)) {
        /* All quarters laid out in full take longer: instructions come slower than from a short loop. */
        _Pragma("GCC unroll 1") for (int64_t q = 0; q < 4; q++) {
            lay_quarter(mode, next, n, b, q, ahead);
            UNROLL for (int p = 0; p < BLOCK / 8; p++, row += 4, column += 4 * BLOCK) {
                __m512bh w0 = (__m512bh)_mm512_loadu_si512(column), w1 = (__m512bh)_mm512_loadu_si512(column + 64);
                UNROLL for (int t = 0; t < TILE; t++) {
                    int32_t pair;
                    memcpy(&pair, row + t * 2 * BLOCK, 4);
                    __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
                    s[t][0] = _mm512_dpbf16_ps(s[t][0], x, w0);
                    s[t][1] = _mm512_dpbf16_ps(s[t][1], x, w1);
                }
            }
        }
    }
    __m512i rounded[TILE];
    UNROLL for (int t = 0; t < TILE; t++) {
        rounded[t] = (__m512i)_mm512_cvtne2ps_pbh(s[t][1], s[t][0]);
        _mm512_storeu_si512(y + t * ldy, rounded[t]);
    }
    if (m) measure_words(m, channel, rounded, TILE);
}

static __attribute__((noinline)) void multiply_as(const job *j, const char *row, int64_t block, uint16_t *y, int64_t ldy,
                                                  const measure *m, const rows *next) {
    const char *column = (const char *)(j->u + block * j->s.c * BLOCK);
    const float *bias = j->bias ? j->bias + block * BLOCK : NULL;
    int64_t ahead = TILE * j->ldx;
    switch (j->mode) {
#define CASE(mode) \
        case mode: \
            multiply(mode, row, column, bias, j->s.in, y, ldy, m, block * BLOCK, next, &j->norm, ahead); \
            break;
        CASE(AS_IT_IS) CASE(NORMALISED) CASE(RECTIFIED)
    }
}

/* One tile, while the next is laid out. */
static void tile(const job *j, int64_t number, rows *next) {
    int64_t pixel = number * TILE, here = min64(TILE, j->s.pixels - pixel);
    const char *row = j->tile[number % 2];
    int64_t each = over(TILE, 4 * j->s.out);
    for (int64_t b = 0; b < j->s.out; b++) {
        uint16_t room[TILE * BLOCK], *y = j->y + pixel * j->ldy + b * BLOCK;
        next->next = 4 * each * b;
        next->each = next->next < TILE ? each : 0;
        for (int64_t t = 0; t < TILE; t++) __builtin_prefetch(y + (TILE + t) * j->ldy, 1, 3);
        if (here == TILE) {
            multiply_as(j, row, b, y, j->ldy, j->measured ? &j->m : NULL, next);
            continue;
        }
        multiply_as(j, row, b, room, BLOCK, NULL, next);
        for (int64_t t = 0; t < here; t++) memcpy(y + t * j->ldy, room + t * BLOCK, 2 * BLOCK);
        if (j->measured) measure_rows(&j->m, b * BLOCK, room, BLOCK, here);
    }
    if (j->measured && number % MEASURED_TILES == 0) measure_flush(&j->m);
}

static void lay_tile(const job *j, const rows *r) {
    int64_t ahead = TILE * j->ldx;
    for (int64_t i = 0; i < j->s.in * TILE; i++) {
        int64_t b = i / TILE, t = i % TILE;
        if (j->mode == RECTIFIED) lay_row(RECTIFIED, r, &j->norm, b, t, ahead);
        else if (j->mode == NORMALISED) lay_row(NORMALISED, r, &j->norm, b, t, ahead);
        else lay_row(AS_IT_IS, r, &j->norm, b, t, ahead);
    }
}

/* The tiles [first, last). One more is laid out than is multiplied. */
static void work(const job *j, int64_t first, int64_t last) {
    rows r = rows_of(j, first, j->tile[first % 2]);
    lay_tile(j, &r);
    for (int64_t t = first; t < last; t++) {
        r = rows_of(j, t + 1, j->tile[(t + 1) % 2]);
        tile(j, t, &r);
    }
    if (j->measured) measure_flush(&j->m);
}

static void convolve(const job *all, int64_t threads, char *rooms) {
    const cut *s = &all->s;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(s->out * 2 * s->in, 1, &from, &to);
        pack(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        char *room = room_in(rooms, thread_bytes(s));
        mine.m = measure_in(room, s->k);
        mine.tile[0] = room + measure_bytes(s->k);
        mine.tile[1] = mine.tile[0] + tile_bytes(s);
        share(s->tiles, 1, &from, &to);
        if (from < to) work(&mine, from, to);
    }
}
#endif

int KERNEL(pointwise)(const void *x, int64_t ldx, const ist_norm *norm, const float *w, const float *bias, void *y,
                      int64_t ldy, float *mean, float *variance, int64_t pixels, int64_t c, int64_t k, void *scratch,
                      int64_t bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (!status) status = norm_check(__func__, norm);
    if (status) return status;
    REQUIRE(ldx >= c && ldy >= k, "%s: rows are %lld and %lld apart but %lld and %lld long", __func__, (long long)ldx,
            (long long)ldy, (long long)c, (long long)k);
    cut s = cut_of(pixels, c, k);
    int64_t threads = min64((bytes - shared_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared_bytes(&s) + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    job all = {.s = s, .x = x, .ldx = ldx, .mode = AS_IT_IS, .w = w, .bias = bias, .u = scratch, .y = y, .ldy = ldy,
               .measured = mean != NULL};
    if (norm) {
        all.norm = norm_input_of(norm, c, (float *)((char *)scratch + weight_bytes(&s)));
        all.mode = all.norm.relu ? RECTIFIED : NORMALISED;
    }
    char *rooms = (char *)scratch + shared_bytes(&s);
    convolve(&all, threads, rooms);
    if (mean) measure_finish(rooms, thread_bytes(&s), threads, pixels, k, mean, variance);
#else
    (void)x, (void)w, (void)bias, (void)y, (void)mean, (void)variance, (void)scratch;
#endif
    return IST_OK;
}
