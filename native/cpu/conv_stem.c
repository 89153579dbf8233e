/*
 * Convolution of few channels in bf16, as a network's first one. Two words over each other are a pair of terms; those of
 * a window's last line, if it has an odd number of lines, are paired half a line apart. With 7x7 taps of three channels
 * that makes 74 pairs of 147 terms.
 *
 * A sum does not depend on how the work is cut, so neither do its bits on the number of threads.
 */
#include "conv_stem.h"
#include "measure.h"

/* TILE outputs of a line against BLOCK channels: the sums fill the registers. */
#define TILE 14

/* Lines of outputs whose input is laid out together. */
#define BAND 4

/* How a convolution is cut. */
typedef struct cut {
    stem s;
    int64_t half;    /* pairs of a window's last line, if that has no line to pair with; else 0 */
    int64_t pairs;   /* under a window */
    int64_t doubled; /* lines of pairs of two lines in a band */
} cut;

static cut cut_of(const ist_window *w) {
    stem s = stem_of(w, whole(w->out[2], TILE));
    int64_t half = s.rows % 2 ? over(s.words, 2) : 0, rows = (BAND - 1) * s.down + s.rows;
    return (cut){s, half, s.rows / 2 * s.words + half, over(rows - 1, s.down)};
}

/* Bytes of the packed weights and of the pairs' places, and of what one thread works in: a band, statistics. */
static int64_t weight_bytes(const cut *c) { return c->s.blocks * c->pairs * 4 * BLOCK; }
static int64_t shared_bytes(const cut *c) { return weight_bytes(c) + whole(8 * c->pairs, 64); }
static int64_t band_bytes(const cut *c) { return (c->doubled + BAND) * pair_line_bytes(&c->s); }
static int64_t thread_bytes(const cut *c) {
    return room_bytes(measure_bytes(c->s.blocks * BLOCK) + band_bytes(c));
}

int KERNEL(conv_stem_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = stem_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut c = cut_of(window);
    *bytes = shared_bytes(&c) + threads * thread_bytes(&c);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* What one thread reads and where it works. */
typedef struct job {
    const ist_window *w;
    cut c;
    const uint16_t *x;
    const float *weights;
    uint16_t *panels; /* [block, pair, BLOCK, 2] */
    int64_t *places;  /* of pairs, in bytes from the first line of an output's band */
    uint16_t *y;
    char *band;       /* pairs of two lines, then those of last lines */
    const char *next; /* of x, on its way to the caches: so many lines of theirs before a tile */
    int64_t fetched;
    int measured;
    measure m;
} job;

/* ---- Weights ---- */

/* Of one output channel, where the weight under word t of line `row` stands; -1 beyond the line's end. */
static int64_t weight_at(const job *j, int64_t row, int64_t t) {
    const stem *s = &j->c.s;
    int64_t channels = j->w->channels;
    return t < s->words ? (t % channels * s->rows + row) * s->columns + t / channels : -1;
}

/* The pairs [from, to). */
static void pack(const job *j, int64_t from, int64_t to) {
    const cut *c = &j->c;
    int64_t each = c->s.words * c->s.rows;
    for (int64_t q = from; q < to; q++) {
        int64_t t = q % c->s.words, row = q / c->s.words * 2, last = row == c->s.rows - 1;
        int64_t a = weight_at(j, row, t), b = last ? weight_at(j, row, t + c->half) : weight_at(j, row + 1, t);
        j->places[q] = ((last ? c->doubled : row / c->s.down) * c->s.length + t) * 4;
        for (int64_t k = 0; k < j->w->out_channels; k++) {
            uint16_t *pair = j->panels + ((k / BLOCK * c->pairs + q) * BLOCK + k % BLOCK) * 2;
            pair[0] = f32_to_bf16(j->weights[k * each + a]);
            pair[1] = b < 0 ? 0 : f32_to_bf16(j->weights[k * each + b]);
        }
    }
}

/* ---- The products ---- */

/* The pairs of TILE outputs times a block of weights, rounded to y. */
INLINE void multiply(int64_t step, const char *x, const char *panel, const int64_t *places, int64_t pairs, uint16_t *y,
                     int64_t ldy, const measure *m, int64_t channel) {
    __m512 s[TILE][2];
    UNROLL for (int t = 0; t < TILE; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (const int64_t *end = places + pairs; places < end; places++, panel += 4 * BLOCK) {
        const char *row = x + *places;
        __m512bh w0 = (__m512bh)_mm512_loadu_si512(panel), w1 = (__m512bh)_mm512_loadu_si512(panel + 64);
        UNROLL for (int t = 0; t < TILE; t++) {
            int32_t pair;
            memcpy(&pair, row + t * step * 4, 4);
            __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
            s[t][0] = _mm512_dpbf16_ps(s[t][0], v, w0);
            s[t][1] = _mm512_dpbf16_ps(s[t][1], v, w1);
        }
    }
    __m512i rounded[TILE];
    UNROLL for (int t = 0; t < TILE; t++) {
        rounded[t] = (__m512i)_mm512_cvtne2ps_pbh(s[t][1], s[t][0]);
        _mm512_storeu_si512(y + t * ldy, rounded[t]);
    }
    if (m) measure_words(m, channel, rounded, TILE);
}

/* m: NULL if the statistics are not wanted. */
static __attribute__((noinline)) void multiply_as(const job *j, const char *x, int64_t block, uint16_t *y, int64_t ldy,
                                                  const measure *m) {
    const char *panel = (const char *)j->panels + block * j->c.pairs * 4 * BLOCK;
    switch (j->c.s.step) {
#define CASE(step) case step: multiply(step, x, panel, j->places, j->c.pairs, y, ldy, m, block * BLOCK); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(6) CASE(8)
    }
}

/* The outputs from the one at y on, of a line that has `count` more. */
static void tile(job *j, const char *x, int64_t block, uint16_t *y, int64_t count) {
    int64_t ldy = j->w->out_channels;
    uint16_t room[TILE * BLOCK];
    for (int64_t i = 0; i < j->fetched; i++, j->next += 64) __builtin_prefetch(j->next, 0, 2);
    if (count >= TILE) {
        multiply_as(j, x, block, y, ldy, j->measured ? &j->m : NULL);
        return;
    }
    multiply_as(j, x, block, room, BLOCK, NULL);
    for (int64_t t = 0; t < count; t++) memcpy(y + t * ldy, room + t * BLOCK, 2 * BLOCK);
    if (j->measured) measure_rows(&j->m, block * BLOCK, room, BLOCK, count);
}

/* ---- Lines ---- */

/* Lays out what lies under `lines` lines of outputs from `line` on, of one picture. */
static void lay_band(job *j, int64_t line, int64_t lines) {
    const ist_window *w = j->w;
    const stem *s = &j->c.s;
    int64_t n = line / w->out[1], top = line % w->out[1] * s->down - w->padding[1];
    int64_t rows = (lines - 1) * s->down + s->rows, bytes = pair_line_bytes(s);
    for (int64_t r = 0; r < rows; r++) {
        words here = words_of(w, j->x, n, top + r);
        if (r + 1 < rows && r % s->down == 0)
            lay_pairs(s, here, words_of(w, j->x, n, top + r + 1), j->band + r / s->down * bytes);
        int64_t to = r - (s->rows - 1);
        if (j->c.half && to >= 0 && to % s->down == 0)
            lay_pairs(s, here, words_after(here, j->c.half), j->band + (j->c.doubled + to / s->down) * bytes);
    }
    j->next = input_after(w, j->x, n, top + rows);
    j->fetched = over(input_bytes(w, BAND), 64 * lines * s->blocks * over(w->out[2], TILE));
}

static void convolve_line(job *j, const char *band, int64_t line) {
    int64_t wide = j->w->out[2], k = j->w->out_channels;
    for (int64_t block = 0; block < j->c.s.blocks; block++)
        for (int64_t o = 0; o < wide; o += TILE)
            tile(j, band + o * j->c.s.step * 4, block, j->y + (line * wide + o) * k + block * BLOCK, wide - o);
    if (j->measured) measure_flush(&j->m);
}

static void work(job *j, int64_t from, int64_t to) {
    int64_t high = j->w->out[1];
    while (from < to) {
        int64_t lines = min64(min64(BAND, to - from), high - from % high);
        lay_band(j, from, lines);
        for (int64_t l = 0; l < lines; l++) convolve_line(j, j->band + l * pair_line_bytes(&j->c.s), from + l);
        from += lines;
    }
}

static void convolve(const job *all, int64_t threads, char *rooms) {
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to, k = all->w->out_channels;
        share(all->c.pairs, 1, &from, &to);
        pack(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        char *room = room_in(rooms, thread_bytes(&mine.c));
        mine.m = measure_in(room, k);
        mine.band = room + measure_bytes(k);
        share(mine.c.s.lines, 1, &from, &to);
        work(&mine, from, to);
    }
}
#endif

int KERNEL(conv_stem)(const ist_window *window, const void *x, const float *w, void *y, float *mean, float *variance,
                      void *scratch, int64_t bytes) {
    int status = stem_check(__func__, window);
    if (status) return status;
    cut c = cut_of(window);
    int64_t threads = min64((bytes - shared_bytes(&c)) / thread_bytes(&c), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared_bytes(&c) + thread_bytes(&c)));
#if defined(__AVX512BF16__)
    job all = {.w = window, .c = c, .x = x, .weights = w, .panels = scratch, .y = y, .measured = mean != NULL,
               .places = (int64_t *)((char *)scratch + weight_bytes(&c))};
    char *rooms = (char *)scratch + shared_bytes(&c);
    convolve(&all, threads, rooms);
    if (mean) measure_finish(rooms, thread_bytes(&c), threads, c.s.lines * window->out[2], window->out_channels, mean, variance);
#else
    (void)x, (void)w, (void)y, (void)mean, (void)variance, (void)scratch;
#endif
    return IST_OK;
}
