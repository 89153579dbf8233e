/* The products of a weight gradient, and what is done meanwhile. */
#ifndef IST_WINOGRAD_PRODUCTS_H
#define IST_WINOGRAD_PRODUCTS_H

#include "winograd_chunk.h"

#if defined(__AVX512BF16__)

/* ---- Meanwhile: while the multipliers work, the processor's other parts transform the next row of points ---- */

typedef struct meanwhile {
    next ahead;                    /* what is fetched */
    const uint16_t *const *strips; /* the first lines of the strips that come next, of a block's first channel */
    int64_t channels, line;        /* where in a line the channels are; from one line to the next */
    int64_t row, wide;             /* the row of points; columns of tiles */
    lines_pair from;
    target at;
    int64_t column, left;          /* what comes next; columns of tiles that are left */
} meanwhile;

INLINE void next_strips(meanwhile *m) {
    if (m->left == 0) return;
    const uint16_t *strips[2] = {m->strips[0] + m->channels, m->strips[1] + m->channels};
    m->from = lines_of(strips, m->line, x_lines[m->row]);
    m->strips += 2;
    m->column = 0;
}

/* On to the next column of tiles. */
INLINE void move_on(meanwhile *m) {
    if (m->left == 0) return;
    m->at.to += m->at.column;
    m->left--;
    if (++m->column == m->wide) next_strips(m);
}

/* The first row has nothing beside it. */
static void transform_alone(meanwhile *m) {
    for (; m->left > 0; m->left -= m->wide, m->at.to += m->wide * m->at.column, next_strips(m))
        transform_row(m->row, &m->from, m->wide, m->at);
}

/* ---- The product ---- */

/* Pairs of tiles of one plane. */
typedef struct run {
    const uint32_t *v, *d;
} run;

/* Adds the products of one pair of tiles. */
INLINE void add_pair(int rows, run at, __m512 sum[][2]) {
    __m512bh low = (__m512bh)_mm512_loadu_si512(at.d), high = (__m512bh)_mm512_loadu_si512(at.d + LANES);
    UNROLL for (int r = 0; r < rows; r++) {
        __m512bh x = (__m512bh)_mm512_set1_epi32((int)at.v[r]);
        sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, low);
        sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, high);
    }
}

/* Adds to sums [rows, BLOCK] the products of `count` runs of `pairs` pairs. */
INLINE void multiply(int rows, const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums) {
    __m512 sum[ROWS][2];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int i = 0; i < 2; i++) sum[r][i] = _mm512_loadu_ps(sums + r * BLOCK + i * LANES);
    for (const run *end = runs + count; runs < end; runs++) {
        run at = *runs;
        for (int64_t p = 0; p < pairs; p++, at.v += ldv, at.d += ldd) add_pair(rows, at, sum);
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int i = 0; i < 2; i++) _mm512_storeu_ps(sums + r * BLOCK + i * LANES, sum[r][i]);
}

/* The lines that are fetched next. */
INLINE void find_lines(next *n) {
    if (n->of_x.left == 0) next_line(&n->x, &n->of_x);
    if (n->of_dy.left == 0) next_line(&n->dy, &n->of_dy);
}

/* The products of the next `count` pairs of tiles before `end`. */
INLINE void add_pairs(int count, run *at, const uint32_t *end, int64_t ldv, int64_t ldd, __m512 sum[][2]) {
    const uint32_t *turn = at->v + count * ldv < end ? at->v + count * ldv : end;
    for (; at->v < turn; at->v += ldv, at->d += ldd) add_pair(LEAST_ROWS, *at, sum);
}

/* EVERY pairs, and meanwhile half of the channels of a column of tiles: one strip, then the other. */
INLINE void add_meanwhile(int add, int half, run *at, const uint32_t *end, int64_t ldv, int64_t ldd, __m512 sum[][2],
                          meanwhile *m) {
    __m512 one[4] = {0}, two[4];
    add_pairs(EVERY - EVERY / 2, at, end, ldv, ldd, sum);
    if (m->left > 0) combine_half(add, half, &m->from, 0, m->column, one);
    add_pairs(EVERY / 2, at, end, ldv, ldd, sum);
    if (m->left == 0) return;
    combine_half(add, half, &m->from, 1, m->column, two);
    uint32_t *to = m->at.to + half * LANES;
    UNROLL for (int i = 0; i < 4; i++) _mm512_storeu_si512(to + i * m->at.point, paired(one[i], two[i]));
}

/* The same of one run and LEAST_ROWS rows, with other work meanwhile. */
INLINE void multiply_meanwhile(int add, run at, int64_t pairs, int64_t ldv, int64_t ldd, float *sums, meanwhile *m) {
    /* Not while there are sums in registers, which any call would put into memory. */
    find_lines(&m->ahead);
    __m512 sum[LEAST_ROWS][2];
    UNROLL for (int r = 0; r < LEAST_ROWS; r++)
        UNROLL for (int i = 0; i < 2; i++) sum[r][i] = _mm512_loadu_ps(sums + r * BLOCK + i * LANES);
    for (const uint32_t *end = at.v + pairs * ldv; at.v < end;) {
        add_meanwhile(add, 0, &at, end, ldv, ldd, sum, m);
        fetch_of_line(&m->ahead.of_x);
        add_meanwhile(add, 1, &at, end, ldv, ldd, sum, m);
        fetch_of_line(&m->ahead.of_dy);
        move_on(m);
    }
    UNROLL for (int r = 0; r < LEAST_ROWS; r++)
        UNROLL for (int i = 0; i < 2; i++) _mm512_storeu_ps(sums + r * BLOCK + i * LANES, sum[r][i]);
}

/* Of its own, so that all registers are there for it: by whether the row that is transformed meanwhile adds lines. */
#define OTHER_MULTIPLIER(name, add) \
    static __attribute__((noinline)) void name(run at, int64_t pairs, int64_t ldv, int64_t ldd, float *sums, meanwhile *m) { \
        multiply_meanwhile(add, at, pairs, ldv, ldd, sums, m); \
    }
OTHER_MULTIPLIER(multiply_adding, 1)
OTHER_MULTIPLIER(multiply_subtracting, 0)

typedef void other_multiplier(run at, int64_t pairs, int64_t ldv, int64_t ldd, float *sums, meanwhile *m);

#define EACH_ROWS(f) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#define MULTIPLIER(rows) \
    static void multiply_##rows(const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums) { \
        multiply(rows, runs, count, pairs, ldv, ldd, sums); \
    }
EACH_ROWS(MULTIPLIER)

typedef void multiplier(const run *runs, int64_t count, int64_t pairs, int64_t ldv, int64_t ldd, float *sums);
#define NAME(rows) multiply_##rows,
static multiplier *const multipliers[] = {EACH_ROWS(NAME)};

#endif

#endif
