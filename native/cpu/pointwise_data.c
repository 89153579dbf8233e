/*
 * The data gradient of a convolution with one tap, in bf16: dx [pixels,c] = dy w, and on through the norm that x went through.
 * Products are few for every dx: what the norm does to them is done between those that follow, see pointwise_strip.h. Some tiles
 * of dy stay near while all of w comes by; where dy is owed something they are copies, settled while the group before is
 * multiplied.
 *
 * Pixels are cut into pieces by the shape alone, and the norm's sums over them are added in order: the bits do not depend on
 * the threads.
 */
#include "pointwise_strip.h"
#include "settle.h"

/* What the tiles of a group may have of output channels together, and the most tiles of a group: the more, the less often
 * weights come by, and all of them must stay in the second cache. */
#define GROUP_CHANNELS 8192
#define GROUP_TILES 64

/* The most pieces, tiles that one should have at least, as a strip's begin and end count where there are few, and what the
 * pieces' number is a multiple of, so that a few threads have the same work. */
#define PIECES 32
#define PIECE_TILES 24
#define EVEN 8

/* How a gradient is cut. */
typedef struct cut {
    int64_t pixels, c, k;
    int64_t in, out;              /* blocks of channels */
    int64_t tiles, group, pieces; /* group: the most tiles of one */
} cut;

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    cut s = {pixels, c, k, c / BLOCK, k / BLOCK, over(pixels, TILE), min64(GROUP_TILES, GROUP_CHANNELS / k), 0};
    if (s.group < 1) s.group = 1;
    s.pieces = min64(s.tiles, min64(PIECES, over(over(s.tiles, PIECE_TILES), EVEN) * EVEN));
    return s;
}

/* Bytes of the packed weights; of those, the norm's numbers, what dy is owed and the sums of all pieces. */
static int64_t weight_bytes(const cut *s) { return 2 * s->c * s->k; }
static int64_t sum_bytes(const cut *s) { return 8 * 2 * s->c; }
static int64_t shared_bytes(const cut *s) {
    return weight_bytes(s) + 4 * (NUMBERS + 1) * s->c + 4 * 2 * s->k + s->pieces * sum_bytes(s);
}

/* Rows of dy that lie before a group's first: its last ones. */
#define BEFORE (TILE - 1)

/* Bytes of a group's own rows, and of what one thread works in. */
static int64_t own_bytes(const cut *s) { return 2 * (BEFORE + s->group * TILE) * s->k; }
static int64_t thread_bytes(const cut *s) { return room_bytes(2 * own_bytes(s) + 4 * (2 * TILE + 2) * BLOCK); }

int KERNEL(pointwise_backward_data_scratch)(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(pixels, c, k);
    *bytes = shared_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)

/* What one thread reads and where it works. */
typedef struct job {
    cut s;
    const char *dy;
    const ist_owed *owed; /* or NULL */
    const ist_norm_gradient *gradient; /* or NULL */
    const float *w;
    place at;
    pitch apart;
    int mode;
    uint16_t *u;    /* [block of c, pair of k, BLOCK, 2] */
    float *norms;   /* [block of c, NUMBERS, BLOCK] */
    float *debts;   /* [block of k, 2, BLOCK]: slopes and shifts of what dy is owed */
    double *sums;   /* [piece, block of c, 2, BLOCK]: of dz, of dz (x - mean) */
    char *own[2];   /* [BEFORE + group, TILE, k] of dy: rows that are not read where they lie; of this group, of the next */
    float *room;    /* [2 TILE + 2, BLOCK] */
} job;

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

/* ---- Groups ---- */

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

static __attribute__((noinline)) void multiply_as(const job *j, strip *r, int64_t tiles, const char *head, const char *rows,
                                                  const char *column, const waiting *w, place after) {
    FINISHED(j, multiply, r, tiles, head, rows, column, w, after)
}

static void finish_as(const job *j, strip *r) { FINISHED(j, finish_waiting, r) }

/* The tiles [from, to), the group number `index` of a piece. */
typedef struct group {
    int64_t piece, index, count, from, to;
} group;

static int64_t first_of(const cut *s, int64_t piece) { return s->tiles * piece / s->pieces; }

static group group_of(const cut *s, int64_t piece, int64_t index) {
    int64_t first = first_of(s, piece), tiles = first_of(s, piece + 1) - first, count = over(tiles, s->group);
    return (group){piece, index, count, first + tiles * index / count, first + tiles * (index + 1) / count};
}

static group group_after(const cut *s, const group *g) {
    return g->index + 1 < g->count ? group_of(s, g->piece, g->index + 1) : group_of(s, g->piece + 1, 0);
}

static int64_t rows_of(const cut *s, const group *g) { return min64(g->to * TILE, s->pixels) - g->from * TILE; }

/* What is to be settled of a group, or only fetched; nothing if it is another thread's. */
static settling settling_of(const job *j, const group *g, int64_t pieces, char *own) {
    const cut *s = &j->s;
    int64_t ld = 2 * s->k, pixel = g->from * TILE, left = g->piece < pieces ? rows_of(s, g) * s->out : 0;
    if (!j->owed || !left) return (settling){.dy = j->dy + pixel * ld, .left = left};
    return (settling){j->dy + pixel * ld, (const char *)j->owed->x + 2 * pixel * j->owed->ldx, own + BEFORE * ld,
                      j->debts, j->debts, j->debts + 2 * s->k, 2 * (j->owed->ldx - s->k), left};
}

/* Lays what a group still lacks of its own rows, and says where all but the first round read them. */
static const char *own_rows(const job *j, settling *s, const char *dy, int64_t rows, char *own) {
    int64_t ld = 2 * j->s.k, all = over(rows, TILE) * TILE;
    char *first = own + BEFORE * ld;
    while (j->owed && s->left) settle_next(s);
    int in_place = !j->owed && rows == all;
    if (!j->owed) memcpy(first, dy, (size_t)(ld * (in_place ? TILE : rows)));
    /* What stands behind the last of `rows` comes to nothing that is kept. */
    memcpy(own, in_place ? dy + (all - BEFORE) * ld : first + (all - BEFORE) * ld, (size_t)(ld * BEFORE));
    return in_place ? dy : first;
}

/* One group, while what r is to settle is settled. */
static void multiply_group(const job *j, strip *r, const group *g, const char *rows, const char *head) {
    const cut *s = &j->s;
    int64_t tiles = g->to - g->from;
    waiting w = {.rows = TILE, .at = moved(j->at, &j->apart, g->from * TILE, 0), .norms = j->norms,
                 .sums = j->sums + g->piece * 2 * s->c};
    for (int64_t b = 0; b < s->in; b++) {
        place right = moved(w.at, &j->apart, 0, BLOCK);
        place after = b + 1 < s->in ? right : moved(right, &j->apart, tiles * TILE, -s->c);
        r->count = s->out * (b + 1) / s->in - s->out * b / s->in;
        multiply_as(j, r, tiles, head, rows, (const char *)(j->u + b * BLOCK * s->k), &w, after);
        r->w.rows = rows_of(s, g) - (tiles - 1) * TILE;
        w.at = right;
        w.norms += NUMBERS * BLOCK;
        w.sums += 2 * BLOCK;
    }
}

/* The pieces [from, to). */
static void work(const job *j, int64_t from, int64_t to) {
    const cut *s = &j->s;
    int64_t ld = 2 * s->k;
    memset(j->room, 0, sizeof(float) * (2 * TILE + 2) * BLOCK);
    memset(j->sums + from * 2 * s->c, 0, (size_t)((to - from) * sum_bytes(s)));
    strip r = {.ld = ld, .pairs = s->k / (2 * TILE), .begun = j->room, .products = j->room + TILE * BLOCK,
               .part = j->room + 2 * TILE * BLOCK, .together = j->at.add == j->at.dx, .apart = j->apart,
               .w = {.sums = j->sums + from * 2 * s->c}};
    group g = group_of(s, from, 0);
    r.s = settling_of(j, &g, to, j->own[0]);
    for (int i = 0; g.piece < to; i = !i) {
        const char *rows = own_rows(j, &r.s, j->dy + g.from * TILE * ld, rows_of(s, &g), j->own[i]);
        group next = group_after(s, &g);
        r.s = settling_of(j, &next, to, j->own[!i]);
        multiply_group(j, &r, &g, rows, j->own[i]);
        g = next;
    }
    finish_as(j, &r);
}

/* The numbers of the channels [from, to), whole blocks. Halving for bounds takes its time: all threads do it. */
static void lay_norms(const job *j, int64_t from, int64_t to) {
    ist_norm part = j->gradient->norm;
    part.mean += from, part.variance += from, part.gamma += from, part.beta += from;
    norm_input n = norm_input_of(&part, to - from, j->norms + NUMBERS * j->s.c + from);
    float *norms = j->norms + from * NUMBERS;
    for (int64_t i = 0; i < to - from; i++) {
        float *at = norms + i / BLOCK * NUMBERS * BLOCK + place_of(i);
        at[MEAN * BLOCK] = n.mean[i];
        at[FACTOR * BLOCK] = n.factor[i];
        at[LOW * BLOCK] = n.beta[i]; /* until the bounds are found */
    }
    for (int64_t i = 0; i < to - from; i += 16) {
        float *at = norms + i / BLOCK * NUMBERS * BLOCK + i % BLOCK;
        norm_lanes of = {lanes_at(at + MEAN * BLOCK), lanes_at(at + FACTOR * BLOCK), lanes_at(at + LOW * BLOCK)};
        lanes low, high;
        norm_bounds(of, &low, &high);
        _mm512_storeu_ps(at + LOW * BLOCK, (__m512)low);
        _mm512_storeu_ps(at + HIGH * BLOCK, (__m512)high);
    }
}

/* The sums [from, to) of all pieces, in the place of the first one's. */
static void add_pieces(const job *j, int64_t from, int64_t to) {
    for (int64_t p = 1; p < j->s.pieces; p++) {
        const double *sums = j->sums + p * 2 * j->s.c;
        SIMD for (int64_t i = from; i < to; i++) j->sums[i] += sums[i];
    }
}

static void lay_debts(float *debts, const ist_owed *owed, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        float *to = debts + i / BLOCK * 2 * BLOCK + place_of(i);
        to[0] = owed->slope[i];
        to[BLOCK] = owed->shift[i];
    }
}

/* What the channels of a block are owed, from its sums in the place of the first piece's. */
static void owe(const job *j, int64_t block) {
    const double *sums = j->sums + block * 2 * BLOCK;
    double sum[BLOCK], product[BLOCK];
    for (int64_t i = 0; i < BLOCK; i++) {
        sum[i] = sums[place_of(i)];
        product[i] = sums[BLOCK + place_of(i)];
    }
    ist_norm_gradient g = *j->gradient;
    int64_t c = block * BLOCK;
    g.norm.mean += c, g.norm.variance += c, g.norm.gamma += c, g.norm.beta += c;
    g.dgamma += c, g.dbeta += c, g.slope += c, g.shift += c;
    if (g.slope_before) g.slope_before += c;
    if (g.shift_before) g.shift_before += c;
    norm_gradient_owe(&g, sum, product, j->s.pixels, BLOCK);
}

static void differentiate(const job *all, int64_t threads, char *rooms) {
    const cut *s = &all->s;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        share(s->k / 2, 1, &from, &to);
        pack(all, from, to);
        share(s->c, BLOCK, &from, &to);
        if (all->gradient && from < to) lay_norms(all, from, to);
        PRAGMA(omp barrier)
        job mine = *all;
        mine.own[0] = room_in(rooms, thread_bytes(s));
        mine.own[1] = mine.own[0] + own_bytes(s);
        mine.room = (float *)(mine.own[1] + own_bytes(s));
        share(s->pieces, 1, &from, &to);
        if (from < to) work(&mine, from, to);
        if (mine.mode != PLAIN) {
            PRAGMA(omp barrier)
            share(s->in, 1, &from, &to);
            add_pieces(all, 2 * BLOCK * from, 2 * BLOCK * to);
            for (int64_t b = from; b < to; b++) owe(all, b);
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
    job all = {.s = s, .dy = dy, .owed = owed, .gradient = gradient, .w = w, .at = {.dx = dx}, .apart = {.dx = 2 * lddx},
               .mode = PLAIN, .u = scratch};
    all.norms = (float *)((char *)scratch + weight_bytes(&s));
    all.debts = all.norms + (NUMBERS + 1) * c;
    all.sums = (double *)(all.debts + 2 * k);
    if (gradient) {
        all.at = (place){dx, gradient->x, gradient->add};
        all.apart = (pitch){2 * lddx, 2 * gradient->ldx, 2 * gradient->ldadd};
        all.mode = gradient->norm.activation == IST_RELU ? NORM_RELU : NORM;
    }
    if (owed) lay_debts(all.debts, owed, k);
    differentiate(&all, threads, (char *)scratch + shared_bytes(&s));
#else
    (void)dy, (void)w, (void)dx, (void)scratch;
#endif
    return IST_OK;
}
