/*
 * The data gradient of a convolution with one tap, in bf16: dx [pixels,c] = dy w, and on through the norm that x went through.
 * Products are few for every dx: what the norm does to those of one tile is done between the products of the next, in time that
 * these leave over. A few tiles of dy stay in the first cache while all of w comes by.
 *
 * Pixels are cut into pieces by the shape alone, and the norm's sums over them are added in order: the bits do not depend on
 * the threads.
 */
#include "pointwise.h"

/* TILE pixels against BLOCK channels of dx: enough sums to hide the products' latency, and half of the registers are left for
 * what is done beside them. */
#define TILE 8

/* What the tiles of a group may have of output channels together, and the most tiles of a group. */
#define GROUP_CHANNELS 512
#define GROUP_TILES 4

/* The most pieces. */
#define PIECES 64

/* How a gradient is cut. */
typedef struct cut {
    int64_t pixels, c, k;
    int64_t in, out;      /* blocks of channels */
    int64_t tiles;        /* of a group */
    int64_t groups, pieces;
} cut;

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    cut s = {pixels, c, k, c / BLOCK, k / BLOCK, min64(GROUP_TILES, GROUP_CHANNELS / k), 0, 0};
    if (s.tiles < 1) s.tiles = 1;
    s.groups = over(pixels, s.tiles * TILE);
    s.pieces = min64(s.groups, PIECES);
    return s;
}

/* Bytes of the packed weights; of those, the norm's numbers and the sums of all pieces; and of what one thread works in. */
static int64_t weight_bytes(const cut *s) { return 2 * s->c * s->k; }
static int64_t sum_bytes(const cut *s) { return 8 * 2 * s->c; }
static int64_t shared_bytes(const cut *s) { return weight_bytes(s) + 4 * 4 * s->c + s->pieces * sum_bytes(s); }
static int64_t group_bytes(const cut *s) { return 2 * s->tiles * TILE * s->k; }
static int64_t thread_bytes(const cut *s) { return 2 * group_bytes(s) + 4 * (TILE + 2) * BLOCK; }

int KERNEL(pointwise_backward_data_scratch)(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(pixels, c, k);
    *bytes = shared_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)

/* What happens to the products: they are dx, or they go through a norm, or one with ReLU; and may be added to something. */
enum { PLAIN, NORM, NORM_RELU };

/* Rows of dx, x and add at the same place; x is NULL without a norm, add without anything to add. */
typedef struct place {
    uint16_t *dx;
    const uint16_t *x, *add;
    int64_t lddx, ldx, ldadd;
} place;

/* What one thread reads and where it works. */
typedef struct job {
    cut s;
    const uint16_t *dy;
    const float *w;
    place at;
    norm_input norm;
    int mode;
    uint16_t *u;     /* [block of c, pair of k, BLOCK, 2] */
    double *sums;    /* [piece, 2, c] */
    char *group[2];  /* [tile, block of k, TILE, BLOCK] of dy, this group's and the next one's */
    float *products; /* [TILE, BLOCK] */
    float *part;     /* [2, BLOCK] of the norm's sums */
} job;

INLINE place moved(place p, int64_t rows, int64_t columns) {
    p.dx += rows * p.lddx + columns;
    if (p.x) p.x += rows * p.ldx + columns;
    if (p.add) p.add += rows * p.ldadd + columns;
    return p;
}

/* What is done between the products of a tile: that of the last one is finished, `next` is fetched, rows of dy are laid out. */
typedef struct aside {
    place last, next;
    int64_t c, rows; /* of the last one */
    const uint16_t *dy;
    char *to;
    int64_t from, end; /* rows of dy */
} aside;

static const uint16_t pair_order[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

/* ---- Weights ---- */

/* The pieces [from, to): piece p is one pair of output channels. In a block of channels all even ones come first. */
static void pack(const job *j, int64_t from, int64_t to) {
    const __m512i low = _mm512_set1_epi32(0xffff);
    for (int64_t p = from; p < to; p++) {
        const float *w = j->w + 2 * p * j->s.c;
        uint16_t *u = j->u + p * 2 * BLOCK;
        for (int64_t c = 0; c < j->s.c; c += BLOCK, w += BLOCK, u += j->s.k * BLOCK) {
            const float *v = w + j->s.c;
            __m512i a = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(w + 16), _mm512_loadu_ps(w));
            __m512i b = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(v + 16), _mm512_loadu_ps(v));
            _mm512_storeu_si512(u, _mm512_or_si512(_mm512_and_si512(a, low), _mm512_slli_epi32(b, 16)));
            _mm512_storeu_si512(u + BLOCK, _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_andnot_si512(low, b)));
        }
    }
}

/* ---- A tile ---- */

/* The even and the odd ones of BLOCK channels: cheaper to take apart than the first and the second half. */
typedef struct split {
    lanes even, odd;
} split;

INLINE split split_at(const uint16_t *x) {
    __m512i pairs = _mm512_loadu_si512(x);
    return (split){(lanes)_mm512_slli_epi32(pairs, 16), (lanes)_mm512_and_si512(pairs, _mm512_set1_epi32(~0xffff))};
}

/* What becomes of the products of the rows [from, end) of a tile. */
INLINE void finish(int mode, int add, const job *j, const aside *a, int64_t from, int64_t end) {
    const __m512i pairs = _mm512_loadu_si512(pair_order);
    lanes sum[2] = {lanes_at(j->part), lanes_at(j->part + 16)};
    lanes product[2] = {lanes_at(j->part + 32), lanes_at(j->part + 48)};
    for (int64_t t = from; t < end; t++) {
        const float *products = j->products + t * BLOCK;
        split d = {lanes_at(products), lanes_at(products + 16)};
        if (mode != PLAIN) {
            split x = split_at(a->last.x + t * a->last.ldx), to = {{0}, {0}};
            if (add) to = split_at(a->last.add + t * a->last.ldadd);
            d.even = norm_gradient_of(d.even, x.even, to.even, norm_lanes_at(&j->norm, a->c), mode == NORM_RELU, &sum[0],
                                      &product[0]);
            d.odd = norm_gradient_of(d.odd, x.odd, to.odd, norm_lanes_at(&j->norm, a->c + 16), mode == NORM_RELU, &sum[1],
                                     &product[1]);
        }
        __m512i dx = (__m512i)_mm512_cvtne2ps_pbh((__m512)d.odd, (__m512)d.even);
        _mm512_storeu_si512(a->last.dx + t * a->last.lddx, _mm512_permutexvar_epi16(pairs, dx));
        /* The norm's numbers, kept from row to row, would take registers from the products. */
        __asm__ volatile("" ::: "memory");
    }
    if (mode == PLAIN) return;
    for (int h = 0; h < 2; h++) {
        _mm512_storeu_ps(j->part + 16 * h, (__m512)sum[h]);
        _mm512_storeu_ps(j->part + 32 + 16 * h, (__m512)product[h]);
    }
}

INLINE void fetch_row(const place *p, int64_t t) {
    __builtin_prefetch(p->dx + t * p->lddx, 1);
    if (p->x) __builtin_prefetch(p->x + t * p->ldx);
    if (p->add && p->add != p->dx) __builtin_prefetch(p->add + t * p->ldadd);
}

/* Lays out one block of rows of dy. */
INLINE void lay(const aside *a, int64_t k, int64_t ahead, int64_t block) {
    for (int64_t t = a->from; t < a->end; t++) {
        const uint16_t *dy = a->dy + t * k + block * BLOCK;
        __builtin_prefetch(dy + ahead);
        _mm512_storeu_si512(a->to + (block * TILE + t) * 2 * BLOCK, _mm512_loadu_si512(dy));
    }
}

/* What is done beside the block b of k. */
INLINE void beside(int mode, int add, const job *j, const aside *a, int64_t b, int64_t step) {
    int64_t from = b * step >> 16, end = (b + 1) * step >> 16;
    finish(mode, add, j, a, min64(from, a->rows), min64(end, a->rows));
    for (int64_t t = from; t < end; t++) fetch_row(&a->next, t);
    lay(a, j->s.k, j->s.tiles * TILE * j->s.k, b);
}

/* A tile of dy times one block of w. */
INLINE void multiply(int mode, int add, const job *j, const char *row, const char *column, const aside *a) {
    int64_t step = (TILE << 16) / j->s.out + 1;
    __m512 s[TILE][2];
    UNROLL for (int t = 0; t < TILE; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (int64_t b = 0; b < j->s.out; b++, row += 2 * BLOCK * (TILE - 1)) {
        beside(mode, add, j, a, b, step);
        for (const char *end = row + 2 * BLOCK; row < end; row += 4, column += 4 * BLOCK) {
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
    UNROLL for (int t = 0; t < TILE; t++) {
        _mm512_storeu_ps(j->products + t * BLOCK, s[t][0]);
        _mm512_storeu_ps(j->products + t * BLOCK + 16, s[t][1]);
    }
}

#define AS(mode, add, f, ...) case 2 * mode + add: f(mode, add, __VA_ARGS__); break;
/* Calls f with how products are finished as its constant first arguments. */
#define FINISHED(j, f, ...) \
    switch (2 * (j)->mode + !!(j)->at.add) { \
        AS(PLAIN, 0, f, __VA_ARGS__) \
        AS(NORM, 0, f, __VA_ARGS__) \
        AS(NORM, 1, f, __VA_ARGS__) \
        AS(NORM_RELU, 0, f, __VA_ARGS__) \
        AS(NORM_RELU, 1, f, __VA_ARGS__) \
    }

static __attribute__((noinline)) void multiply_as(const job *j, const char *row, const char *column, const aside *a) {
    FINISHED(j, multiply, j, row, column, a)
}

INLINE void finish_both(int mode, int add, const job *j, const aside *a) {
    finish(mode, add, j, a, 0, a->rows);
}

static void finish_as(const job *j, const aside *a) { FINISHED(j, finish_both, j, a) }

/* ---- Pieces ---- */

/* Adds the norm's sums of a group, at the block of channels that is c, to those of its piece. */
static void add_part(const job *j, double *sums, int64_t c) {
    for (int64_t i = 0; i < BLOCK; i++) {
        sums[c + i] += j->part[i / 2 + i % 2 * 16];
        sums[j->s.c + c + i] += j->part[BLOCK + i / 2 + i % 2 * 16];
    }
    memset(j->part, 0, 2 * BLOCK * sizeof(float));
}

/* Rows of dy from a pixel on, and where they lie or are laid out. */
typedef struct rows {
    int64_t pixel, count;
    char *at;
} rows;

static void lay_first(const job *j, rows r) {
    for (int64_t t = 0; t < r.count; t += TILE) {
        aside a = {.dy = j->dy + (r.pixel + t) * j->s.k, .to = r.at + 2 * t * j->s.k, .end = min64(TILE, r.count - t)};
        for (int64_t b = 0; b < j->s.out; b++) lay(&a, j->s.k, 0, b);
    }
}

/* A group, while the next one is laid out. */
static void group(const job *j, rows r, rows next, aside *a, double *sums) {
    const cut *s = &j->s;
    for (int64_t c = 0; c < s->c; c += BLOCK) {
        for (int64_t t = 0; t < r.count; t += TILE) {
            place p = moved(j->at, r.pixel + t, c);
            a->next = c + BLOCK < s->c ? moved(p, 0, BLOCK) : moved(p, s->tiles * TILE, -c);
            a->dy = j->dy + (next.pixel + t) * s->k;
            a->to = next.at + 2 * t * s->k;
            a->from = min64(TILE * c / s->c, next.count - t);
            a->end = min64(TILE * (c + BLOCK) / s->c, next.count - t);
            multiply_as(j, r.at + 2 * t * s->k, (const char *)(j->u + c * s->k), a);
            if (t == 0) add_part(j, sums, a->c);
            a->last = p;
            a->c = c;
            a->rows = min64(TILE, r.count - t);
        }
    }
}

static void piece(const job *j, int64_t number) {
    const cut *s = &j->s;
    int64_t all = s->tiles * TILE, first = s->groups * number / s->pieces * all;
    int64_t last = min64(s->groups * (number + 1) / s->pieces * all, s->pixels);
    double *sums = j->sums + number * 2 * s->c;
    memset(sums, 0, (size_t)sum_bytes(s));
    memset(j->part, 0, 2 * BLOCK * sizeof(float));
    aside a = {.rows = 0};
    rows r = {first, min64(all, last - first), j->group[0]};
    lay_first(j, r);
    while (r.count > 0) {
        rows next = {r.pixel + all, min64(all, last - r.pixel - all), r.at == j->group[0] ? j->group[1] : j->group[0]};
        group(j, r, next, &a, sums);
        r = next;
    }
    finish_as(j, &a);
    add_part(j, sums, a.c);
}

/* Room is for four numbers a channel, the factors are in the first. */
static norm_input norm_split(norm_input n, int64_t c, float *room) {
    float *mean = room + c, *factor = mean + c, *beta = factor + c;
    for (int64_t i = 0; i < c; i++) {
        int64_t to = i / BLOCK * BLOCK + i % BLOCK / 2 + i % 2 * 16;
        mean[to] = n.mean[i];
        factor[to] = n.factor[i];
        beta[to] = n.beta[i];
    }
    return (norm_input){mean, factor, beta, n.relu};
}

static void differentiate(const job *all, int64_t threads, char *room) {
    const cut *s = &all->s;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(s->k / 2, 1, &from, &to);
        pack(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        mine.group[0] = room + omp_get_thread_num() * thread_bytes(s);
        mine.group[1] = mine.group[0] + group_bytes(s);
        mine.products = (float *)(mine.group[1] + group_bytes(s));
        mine.part = mine.products + TILE * BLOCK;
        share(s->pieces, 1, &from, &to);
        for (; from < to; from++) piece(&mine, from);
    }
}

/* The sums of all pieces, in the place of the first one's. */
static void add_pieces(const job *j) {
    for (int64_t p = 1; p < j->s.pieces; p++)
        for (int64_t i = 0; i < 2 * j->s.c; i++) j->sums[i] += j->sums[p * 2 * j->s.c + i];
}
#endif

int KERNEL(pointwise_backward_data)(const void *dy, const float *w, void *dx, int64_t lddx,
                                    const ist_norm_gradient *gradient, int64_t pixels, int64_t c, int64_t k,
                                    void *scratch, int64_t bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (!status && gradient) status = norm_check(__func__, &gradient->norm);
    if (status) return status;
    REQUIRE(lddx >= c && (!gradient || (gradient->ldx >= c && (!gradient->add || gradient->ldadd >= c))),
            "%s: rows of dx, x or add are less apart than their %lld channels", __func__, (long long)c);
    cut s = cut_of(pixels, c, k);
    int64_t threads = min64((bytes - shared_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared_bytes(&s) + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    float *factors = (float *)((char *)scratch + weight_bytes(&s));
    job all = {.s = s, .dy = dy, .w = w, .at = {.dx = dx, .lddx = lddx}, .mode = PLAIN, .u = scratch};
    all.sums = (double *)(factors + 4 * c);
    if (gradient) {
        all.at = (place){dx, gradient->x, gradient->add, lddx, gradient->ldx, gradient->ldadd};
        all.norm = norm_split(norm_input_of(&gradient->norm, c, factors), c, factors);
        all.mode = all.norm.relu ? NORM_RELU : NORM;
    }
    differentiate(&all, threads, (char *)scratch + shared_bytes(&s));
    if (gradient) {
        add_pieces(&all);
        norm_gradient_owe(gradient, all.sums, all.sums + c, pixels, c);
    }
#else
    (void)dy, (void)w, (void)dx, (void)scratch;
#endif
    return IST_OK;
}
