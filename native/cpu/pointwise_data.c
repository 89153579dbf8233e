/*
 * The data gradient of a convolution with one tap, in bf16: dx [pixels,c] = dy w, and on through the norm that x went through.
 * Products are few for every dx: what the norm does to those of one tile is done between the products of the next, in time that
 * these leave over. A few tiles of dy stay in the first cache while all of w comes by; where dy is owed something they are
 * settled copies.
 *
 * Pixels are cut into pieces by the shape alone, and the norm's sums over them are added in order: the bits do not depend on
 * the threads.
 */
#include "pointwise.h"
#include "settle.h"

/* TILE pixels against BLOCK channels of dx: enough sums to hide the products' latency, and half of the registers are left for
 * what is done beside them. */
#define TILE 8

/* What the tiles of a group may have of output channels together, and the most tiles of a group. */
#define GROUP_CHANNELS 1024
#define GROUP_TILES 8

/* The most pieces, and what their number is a multiple of, so that a few threads have the same work. */
#define PIECES 64
#define EVEN 4

/* How a gradient is cut. */
typedef struct cut {
    int64_t pixels, c, k;
    int64_t in, out;              /* blocks of channels */
    int64_t tiles, group, pieces; /* group: tiles of one */
} cut;

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    cut s = {pixels, c, k, c / BLOCK, k / BLOCK, over(pixels, TILE), min64(GROUP_TILES, GROUP_CHANNELS / k), 0};
    if (s.group < 1) s.group = 1;
    s.pieces = min64(s.tiles, min64(PIECES, over(over(s.tiles, s.group), EVEN) * EVEN));
    return s;
}

/* Bytes of the packed weights; of those, the norm's numbers and the sums of all pieces; and of what one thread works in. */
static int64_t weight_bytes(const cut *s) { return 2 * s->c * s->k; }
static int64_t sum_bytes(const cut *s) { return 8 * 2 * s->c; }
static int64_t shared_bytes(const cut *s) { return weight_bytes(s) + 4 * 4 * s->c + (s->pieces + 1) * sum_bytes(s); }
static int64_t thread_bytes(const cut *s) { return 2 * s->group * TILE * s->k + 4 * (TILE + 2) * BLOCK; }

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
    const ist_owed *owed; /* or NULL */
    const float *w;
    place at;
    int mode;
    uint16_t *u;     /* [block of c, pair of k, BLOCK, 2] */
    float *norms;    /* [block of c, 3, BLOCK]: mean, factor, beta */
    double *sums;    /* [piece, block of c, 2, BLOCK]: of dz, of dz (x - mean) */
    uint16_t *own;   /* [group, TILE, k] of dy: rows that are not read where they lie */
    float *products; /* [TILE, BLOCK] */
    float *part;     /* [2, BLOCK] of a group's sums */
} job;

/* Of BLOCK channels, wherever they lie as the registers have them, the even ones come first: they are cheaper to take apart
 * than two halves. */
INLINE int64_t place_of(int64_t channel) { return channel % BLOCK / 2 + channel % 2 * 16; }

INLINE place moved(place p, int64_t rows, int64_t columns) {
    p.dx += rows * p.lddx + columns;
    if (p.x) p.x += rows * p.ldx + columns;
    if (p.add) p.add += rows * p.ldadd + columns;
    return p;
}

/* What is done between the products of a tile: that of the last one is finished, `next` is fetched. */
typedef struct aside {
    place last, next;
    int64_t c, rows; /* of the last one */
} aside;

static const uint16_t pair_order[] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

/* ---- Weights ---- */

/* The pieces [from, to): piece p is one pair of output channels. */
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

INLINE floats floats_at(const uint16_t *x) { return floats_of(_mm512_loadu_si512(x)); }

/* BLOCK channels, even ones before odd ones, in their order. */
INLINE void put_split(uint16_t *to, __m512i v) {
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_loadu_si512(pair_order), v));
}

INLINE void fetch_row(const place *p, int64_t t) {
    __builtin_prefetch(p->dx + t * p->lddx, 1);
    if (p->x) __builtin_prefetch(p->x + t * p->ldx);
    if (p->add && p->add != p->dx) __builtin_prefetch(p->add + t * p->ldadd);
}

/* The norm's sums at the even and the odd ones of BLOCK channels: of dz, of dz (x - mean). */
typedef struct totals {
    lanes sum[2], product[2];
} totals;

INLINE totals totals_at(const float *part) {
    return (totals){{lanes_at(part), lanes_at(part + 16)}, {lanes_at(part + 32), lanes_at(part + 48)}};
}

INLINE void keep(float *part, totals s) {
    UNROLL for (int h = 0; h < 2; h++) {
        _mm512_storeu_ps(part + 16 * h, (__m512)s.sum[h]);
        _mm512_storeu_ps(part + 32 + 16 * h, (__m512)s.product[h]);
    }
}

INLINE norm_lanes numbers_at(const float *n) {
    return (norm_lanes){lanes_at(n), lanes_at(n + BLOCK), lanes_at(n + 2 * BLOCK)};
}

/* What becomes of the products of row t of a tile. */
INLINE void finish(int mode, int add, const float *products, const place *p, const float *n, int64_t t, totals *s) {
    floats d = {lanes_at(products + t * BLOCK), lanes_at(products + t * BLOCK + 16)};
    if (mode != PLAIN) {
        floats x = floats_at(p->x + t * p->ldx), to = {{0}, {0}};
        if (add) to = floats_at(p->add + t * p->ldadd);
        d.even = norm_gradient_of(d.even, x.even, to.even, numbers_at(n), mode == NORM_RELU, &s->sum[0], &s->product[0]);
        d.odd = norm_gradient_of(d.odd, x.odd, to.odd, numbers_at(n + 16), mode == NORM_RELU, &s->sum[1], &s->product[1]);
    }
    __m512i dx = (__m512i)_mm512_cvtne2ps_pbh((__m512)d.odd, (__m512)d.even);
    put_split(p->dx + t * p->lddx, dx);
}

/* A tile of dy times one block of w. Between the products, which are cut in as many parts as a tile has rows, a row of the last
 * tile is finished and one of the next is fetched; in fewer and larger parts these hold up the products. */
INLINE void multiply(int mode, int add, const job *j, const uint16_t *dy, const uint16_t *u, const aside *a) {
    const char *row = (const char *)dy, *column = (const char *)u;
    int64_t ld = 2 * j->s.k, pairs = j->s.k / (2 * TILE), rows = a->rows;
    /* Copies, as memory that is written could else be them. */
    const place last = a->last, next = a->next;
    const float *norms = j->norms + 3 * a->c;
    float *products = j->products;
    totals sums = totals_at(j->part);
    __m512 s[TILE][2];
    UNROLL for (int t = 0; t < TILE; t++) s[t][0] = s[t][1] = _mm512_setzero_ps();
    for (int64_t part = 0; part < TILE; part++) {
        if (part < rows) finish(mode, add, products, &last, norms, part, &sums);
        fetch_row(&next, part);
        _Pragma("GCC unroll 2") for (int64_t i = 0; i < pairs; i++, row += 4, column += 4 * BLOCK) {
            __m512bh w0 = (__m512bh)_mm512_loadu_si512(column), w1 = (__m512bh)_mm512_loadu_si512(column + 64);
            UNROLL for (int t = 0; t < TILE; t++) {
                int32_t pair;
                memcpy(&pair, row + t * ld, 4);
                __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
                s[t][0] = _mm512_dpbf16_ps(s[t][0], x, w0);
                s[t][1] = _mm512_dpbf16_ps(s[t][1], x, w1);
            }
        }
    }
    UNROLL for (int t = 0; t < TILE; t++) {
        _mm512_storeu_ps(products + t * BLOCK, s[t][0]);
        _mm512_storeu_ps(products + t * BLOCK + 16, s[t][1]);
    }
    if (mode != PLAIN) keep(j->part, sums);
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

static __attribute__((noinline)) void multiply_as(const job *j, const uint16_t *dy, const uint16_t *u, const aside *a) {
    FINISHED(j, multiply, j, dy, u, a)
}

INLINE void finish_all(int mode, int add, const job *j, const aside *a) {
    totals sums = totals_at(j->part);
    for (int64_t t = 0; t < a->rows; t++) finish(mode, add, j->products, &a->last, j->norms + 3 * a->c, t, &sums);
    keep(j->part, sums);
}

static void finish_as(const job *j, const aside *a) { FINISHED(j, finish_all, j, a) }

/* ---- Pieces ---- */

/* Adds a group's sums at the block of channels that is c to those of its piece. */
static void add_part(const job *j, double *sums, int64_t c) {
    SIMD for (int64_t i = 0; i < 2 * BLOCK; i++) {
        sums[2 * c + i] += j->part[i];
        j->part[i] = 0;
    }
}

/* Fetches the elements [from, to) of the tile of dy at a pixel, and of what it is owed unless other things lie between. */
INLINE void fetch_dy(const job *j, int64_t pixel, int64_t from, int64_t to) {
    const uint16_t *dy = j->dy + pixel * j->s.k;
    const uint16_t *x = j->owed && j->owed->ldx == j->s.k ? (const uint16_t *)j->owed->x + pixel * j->s.k : NULL;
    for (; from < to; from += BLOCK) {
        __builtin_prefetch(dy + from);
        if (x) __builtin_prefetch(x + from);
    }
}

/* The rows of a group, settled: all of them at once, as that takes two thirds of the time it takes tile by tile. */
static void settle_group(const job *j, int64_t pixel, int64_t rows) {
    int64_t k = j->s.k, ldx = j->owed->ldx;
    const uint16_t *dy = j->dy + pixel * k, *x = (const uint16_t *)j->owed->x + pixel * ldx;
    for (int64_t i = 0; i < k; i += BLOCK) {
        owed_words o = owed_words_at(j->owed, i, BLOCK);
        for (int64_t t = 0; t < rows; t++) {
            __m512i d = _mm512_loadu_si512(dy + t * k + i);
            put_split(j->own + t * k + i, settle_split(d, _mm512_loadu_si512(x + t * ldx + i), o));
        }
    }
}

/* Makes a group's own rows and says how many before them are read where they lie. */
static int64_t own_rows(const job *j, int64_t pixel, int64_t rows) {
    int64_t k = j->s.k, few = rows % TILE, whole = rows - few;
    if (!j->owed) {
        memcpy(j->own + whole * k, j->dy + (pixel + whole) * k, (size_t)(2 * few * k));
        return whole;
    }
    settle_group(j, pixel, rows);
    return 0;
}

/* A group of `rows` pixels. */
static void group(const job *j, int64_t pixel, int64_t rows, aside *a, double *sums) {
    const cut *s = &j->s;
    const uint16_t *dy = j->dy + pixel * s->k;
    int64_t all = s->group * TILE, size = TILE * s->out, whole = own_rows(j, pixel, rows);
    for (int64_t b = 0; b < s->in; b++) {
        int64_t c = b * BLOCK, from = size * b / s->in * BLOCK, to = size * (b + 1) / s->in * BLOCK;
        for (int64_t t = 0; t < rows; t += TILE) {
            place p = moved(j->at, pixel + t, c);
            a->next = b + 1 < s->in ? moved(p, 0, BLOCK) : moved(p, all, -c);
            fetch_dy(j, pixel + all + t, from, to);
            multiply_as(j, (t < whole ? dy : j->own) + t * s->k, j->u + c * s->k, a);
            if (t == 0 && j->mode != PLAIN) add_part(j, sums, a->c);
            a->last = p;
            a->c = c;
            a->rows = min64(TILE, rows - t);
        }
    }
}

static void piece(const job *j, int64_t number) {
    const cut *s = &j->s;
    int64_t all = s->group * TILE, pixel = s->tiles * number / s->pieces * TILE;
    int64_t end = min64(s->tiles * (number + 1) / s->pieces * TILE, s->pixels);
    double *sums = j->sums + number * 2 * s->c;
    memset(sums, 0, (size_t)sum_bytes(s));
    memset(j->part, 0, 2 * BLOCK * sizeof(float));
    aside a = {.rows = 0};
    for (; pixel < end; pixel += all) group(j, pixel, min64(all, end - pixel), &a, sums);
    finish_as(j, &a);
    add_part(j, sums, a.c);
}

/* The sums [from, to) of all pieces, in the place of the first one's. */
static void add_pieces(const job *j, int64_t from, int64_t to) {
    for (int64_t p = 1; p < j->s.pieces; p++) {
        const double *sums = j->sums + p * 2 * j->s.c;
        SIMD for (int64_t i = from; i < to; i++) j->sums[i] += sums[i];
    }
}

/* factors: room for one number a channel. */
static void lay_norms(float *norms, const ist_norm *norm, int64_t c, float *factors) {
    norm_input n = norm_input_of(norm, c, factors);
    for (int64_t i = 0; i < c; i++) {
        float *to = norms + i / BLOCK * 3 * BLOCK + place_of(i);
        to[0] = n.mean[i];
        to[BLOCK] = n.factor[i];
        to[2 * BLOCK] = n.beta[i];
    }
}

/* The sums of all pieces, which lie in the place of the first one's, in the order of channels in that of the second's. */
static void owe(const job *j, const ist_norm_gradient *g) {
    double *sum = j->sums + 2 * j->s.c, *product = sum + j->s.c;
    for (int64_t i = 0; i < j->s.c; i++) {
        const double *from = j->sums + i / BLOCK * 2 * BLOCK + place_of(i);
        sum[i] = from[0];
        product[i] = from[BLOCK];
    }
    norm_gradient_owe(g, sum, product, j->s.pixels, j->s.c);
}

static void differentiate(const job *all, int64_t threads, char *room) {
    const cut *s = &all->s;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(s->k / 2, 1, &from, &to);
        pack(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        mine.own = (uint16_t *)(room + omp_get_thread_num() * thread_bytes(s));
        mine.products = (float *)(mine.own + s->group * TILE * s->k);
        mine.part = mine.products + TILE * BLOCK;
        share(s->pieces, 1, &from, &to);
        for (; from < to; from++) piece(&mine, from);
        if (mine.mode != PLAIN) {
            PRAGMA(omp barrier)
            share(2 * s->c, GRAIN, &from, &to);
            add_pieces(all, from, to);
        }
    }
}
#endif

int KERNEL(pointwise_backward_data)(const void *dy, const ist_owed *owed, const float *w, void *dx, int64_t lddx,
                                    const ist_norm_gradient *gradient, int64_t pixels, int64_t c, int64_t k,
                                    void *scratch, int64_t bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (!status && gradient) status = norm_check(__func__, &gradient->norm);
    if (!status) status = owed_check(__func__, owed, k);
    if (status) return status;
    REQUIRE(lddx >= c && (!gradient || (gradient->ldx >= c && (!gradient->add || gradient->ldadd >= c))),
            "%s: rows of dx, x or add are less apart than their %lld channels", __func__, (long long)c);
    cut s = cut_of(pixels, c, k);
    int64_t threads = min64((bytes - shared_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared_bytes(&s) + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    job all = {.s = s, .dy = dy, .owed = owed, .w = w, .at = {.dx = dx, .lddx = lddx}, .mode = PLAIN, .u = scratch};
    all.norms = (float *)((char *)scratch + weight_bytes(&s));
    all.sums = (double *)(all.norms + 4 * c);
    if (gradient) {
        all.at = (place){dx, gradient->x, gradient->add, lddx, gradient->ldx, gradient->ldadd};
        all.mode = gradient->norm.activation == IST_RELU ? NORM_RELU : NORM;
        lay_norms(all.norms, &gradient->norm, c, all.norms + 3 * c);
    }
    differentiate(&all, threads, (char *)scratch + shared_bytes(&s));
    if (gradient) owe(&all, gradient);
#else
    (void)dy, (void)w, (void)dx, (void)scratch;
#endif
    return IST_OK;
}
