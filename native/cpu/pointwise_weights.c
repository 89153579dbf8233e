/*
 * The weight gradient of a convolution with one tap, in bf16: dw [k,c] = dy' norm(x), sums over all pixels in float32.
 * Pixels are laid side by side in pairs first, a chunk of them at a time: all of dy's channels, which stay in the second
 * cache, and a block of x's, which stays in the first one while all of dy's come by. The norm is done on the way, and what dy
 * is owed is paid.
 *
 * Pixels are cut into slices and chunks by the shape alone, and slices are added in order: the bits do not depend on the
 * threads. Threads share tiles of all slices' sums.
 */
#include "pairs.h"

/* A tile of sums [ROWS output channels, BLOCK channels]. Eight rows by two vectors are enough to hide the products' latency,
 * and divide panels evenly. */
#define ROWS 8
#define BLOCK 32

/* Output channels side by side in a panel: a line of the cache. */
#define PANEL 16

/* Pairs of pixels in a chunk at most: a block of x and a panel of dy leave some of the first cache. */
#define PAIRS 176

/* Bytes of a block and of a panel; a line more than that fills, so that not all begin in the same set of the cache. */
#define BLOCK_BYTES (PAIRS * 4 * BLOCK)
#define PANEL_BYTES (PAIRS * 4 * PANEL + 64)

/* Tiles over each other whose rows of a chunk of dy stay in the second cache. */
#define GROUP 64

/* Weights fewer than this are summed in slices of at least so many pixels, so that threads need not all read all of dy. */
#define SLICED_BELOW 40000
#define SLICE 6144
#define SLICES 32

typedef struct cut {
    int64_t pixels, c, k;
    int64_t blocks, parts;         /* tiles beside and over each other, the latter in a group */
    int64_t groups, slices, tiles; /* the tiles of a group */
} cut;

INLINE int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t lines(int64_t bytes) { return over(bytes, 64) * 64; }

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    int64_t most = c * k < SLICED_BELOW ? min64(pixels / SLICE, SLICES) : 1;
    cut s = {pixels, c, k, over(c, BLOCK), over(k, ROWS), over(k, GROUP * ROWS), most < 1 ? 1 : most, 0};
    s.parts = over(s.parts, s.groups);
    s.tiles = s.blocks * s.parts;
    return s;
}

/* Bytes of the slices' sums, of the norm's factors, and of what one thread works in: chunks of both operands. */
static int64_t slice_bytes(const cut *s) { return s->slices > 1 ? lines(s->slices * s->c * s->k * 4) : 0; }
static int64_t factor_bytes(const cut *s) { return lines(s->c * 4); }
static int64_t thread_bytes(const cut *s) {
    return lines(BLOCK_BYTES) + over(s->parts * ROWS, WORDS) * (WORDS / PANEL) * PANEL_BYTES;
}

static int pointwise_check(const char *call, int64_t pixels, int64_t c, int64_t k) {
    int status = bf16_check(call);
    if (status) return status;
    if (pixels < 1 || c < 1 || k < 1)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld pixels, %lld channels to %lld", call, (long long)pixels,
                        (long long)c, (long long)k);
    return IST_OK;
}

int KERNEL(pointwise_backward_weights_scratch)(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut s = cut_of(pixels, c, k);
    *bytes = slice_bytes(&s) + factor_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* What one thread reads and where it works. */
typedef struct job {
    cut s;
    const uint16_t *x, *dy;
    int64_t ldx;
    const norm_input *norm; /* NULL: none */
    const ist_owed *owed;   /* NULL: nothing */
    float *dw, *slices;
    char *xs, *ds; /* [PAIRS, BLOCK, 2]; [panel, PAIRS, PANEL, 2] */
} job;

/* The pixels [pixel, end) of a chunk; the next one ends at `after`. */
typedef struct chunk {
    int64_t pixel, end, after;
} chunk;

/* ---- Pairs ---- */

/* At most WORDS channels, n of them there. Without a mask where there may be: it costs. */
INLINE __m512i take_words(const uint16_t *x, int64_t n) {
    return n >= WORDS ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16(first_words(n), x);
}

/* At most WORDS channels of dy, n of them there, with what they are owed. */
INLINE void pack_settled(const job *j, const chunk *at, int64_t first, int64_t n, char *to) {
    int64_t k = j->s.k, ldx = j->owed->ldx;
    const uint16_t *dy = j->dy + at->pixel * k + first, *x = (const uint16_t *)j->owed->x + at->pixel * ldx + first;
    owed_words o = owed_words_at(j->owed, first, n);
    for (int64_t pixels = at->end - at->pixel; pixels > 0; pixels -= 2, dy += 2 * k, x += 2 * ldx, to += 4 * PANEL) {
        __m512i a = settle_split(take_words(dy, n), take_words(x, n), o), b = _mm512_setzero_si512();
        if (pixels > 1) b = settle_split(take_words(dy + k, n), take_words(x + ldx, n), o);
        write_pairs(1, a, b, to, to + PANEL_BYTES);
    }
}

/* The dy of a group of output channels. */
static void pack_rows(const job *j, const chunk *at, int64_t group) {
    int64_t first = group * j->s.parts * ROWS, n = min64(j->s.parts * ROWS, j->s.k - first), k = j->s.k;
    if (j->owed) {
        for (int64_t i = 0; i < n; i += WORDS)
            pack_settled(j, at, first + i, n - i, j->ds + i / PANEL * PANEL_BYTES);
        return;
    }
    const uint16_t *dy = j->dy + at->pixel * k + first;
    char *to = j->ds;
    for (int64_t pixels = at->end - at->pixel; pixels > 0; pixels -= 2, dy += 2 * k, to += 4 * PANEL)
        for (int64_t i = 0; i < n; i += WORDS) {
            char *low = to + i / PANEL * PANEL_BYTES;
            __m512i b = pixels > 1 ? take_words(dy + k + i, n - i) : _mm512_setzero_si512();
            write_pairs(0, take_words(dy + i, n - i), b, low, low + PANEL_BYTES);
        }
}

INLINE void pack_plain(const uint16_t *x, int64_t ldx, int64_t pixels, int64_t n, char *to) {
    for (; pixels > 0; pixels -= 2, x += 2 * ldx, to += 4 * BLOCK) {
        __m512i b = pixels > 1 ? take_words(x + ldx, n) : _mm512_setzero_si512();
        write_pairs(0, take_words(x, n), b, to, to + 64);
    }
}

INLINE void pack_normal(const uint16_t *x, int64_t ldx, int64_t pixels, int64_t n, norm_words norm, int relu, char *to) {
    for (; pixels > 0; pixels -= 2, x += 2 * ldx, to += 4 * BLOCK) {
        __m512i b = pixels > 1 ? norm_split(take_words(x + ldx, n), norm, relu) : _mm512_setzero_si512();
        write_pairs(1, norm_split(take_words(x, n), norm, relu), b, to, to + 64);
    }
}

static void pack_block(const job *j, const chunk *at, int64_t block) {
    int64_t c = block * BLOCK, n = j->s.c - c, pixels = at->end - at->pixel;
    const uint16_t *x = j->x + at->pixel * j->ldx + c;
    if (!j->norm) pack_plain(x, j->ldx, pixels, n, j->xs);
    else if (j->norm->relu) pack_normal(x, j->ldx, pixels, n, norm_words_at(j->norm, c, n), 1, j->xs);
    else pack_normal(x, j->ldx, pixels, n, norm_words_at(j->norm, c, n), 0, j->xs);
}

/* ---- Reading ahead ---- */

/* Lines that are fetched into the caches evenly while products are formed: waiting for them when they are wanted takes a third
 * of the time, and many at once fill the queue that the products' own operands come through. What fetches is inlined: calls
 * of a function that does nothing else are no work to GCC, and it leaves them out. */
typedef struct ahead {
    const char *at;
    int64_t step;       /* bytes from one line to the next */
    int64_t each;       /* lines a call: always as many, as asking costs more than some lines twice */
    int64_t line, rate; /* where it is and how far it goes each time, in parts of 2^-PART lines */
} ahead;

#define PART 20

INLINE ahead ahead_of(const uint16_t *at, int64_t step, int64_t count, int64_t calls) {
    int64_t each = calls ? over(count, calls) : 0;
    return (ahead){(const char *)at, 2 * step, each, 0, each ? (count << PART) / (calls * each) : 0};
}

INLINE void fetch(ahead *a) {
    for (int64_t i = a->each; i > 0; i--, a->line += a->rate) __builtin_prefetch(a->at + (a->line >> PART) * a->step);
}

/* The next block of x, the next chunk's dy and what it is owed. */
typedef struct reading {
    ahead x, dy, owed;
} reading;

/* Pairs that are multiplied between fetches. */
#define RUN 4

INLINE int64_t runs_of(const chunk *at) { return (at->end - at->pixel) / (2 * RUN); }

static ahead dy_ahead(const job *j, const chunk *at, int64_t tiles) {
    int64_t words = (at->after - at->end) * j->s.k;
    return ahead_of(j->dy + at->end * j->s.k, WORDS, over(words, WORDS), tiles * runs_of(at));
}

/* Not between other things, which would be fetched as well. */
static ahead owed_ahead(const job *j, const chunk *at, int64_t tiles) {
    int64_t words = (at->after - at->end) * j->s.k;
    if (!j->owed || j->owed->ldx != j->s.k) return ahead_of(NULL, 0, 0, 0);
    return ahead_of((const uint16_t *)j->owed->x + at->end * j->s.k, WORDS, over(words, WORDS), tiles * runs_of(at));
}

/* After the block of the tile, of the tiles [from, to). */
static ahead x_ahead(const job *j, const chunk *at, int64_t tile, int64_t from, int64_t to) {
    int64_t parts = j->s.parts, block = tile / parts;
    int last = (block + 1) * parts >= to;
    int64_t pixel = last ? at->end : at->pixel, end = last ? at->after : at->end;
    const uint16_t *x = j->x + pixel * j->ldx + (last ? from / parts : block + 1) * BLOCK;
    return ahead_of(x, j->ldx, end - pixel, min64(to - tile, parts) * runs_of(at));
}

/* ---- The product ---- */

/* Where a tile's sums go: those rows and columns that are there. */
typedef struct place {
    float *sums;
    int64_t ld, rows, columns;
    int add; /* to what is there */
} place;

INLINE void write_tile(const place *to, __m512 s[ROWS][2]) {
    __mmask16 some[2] = {first_lanes(to->columns), first_lanes(to->columns - 16)};
    UNROLL for (int r = 0; r < ROWS; r++) {
        if (r >= to->rows) break;
        UNROLL for (int i = 0; i < 2; i++) {
            float *at = to->sums + r * to->ld + 16 * i;
            if (to->add) s[r][i] = _mm512_add_ps(s[r][i], _mm512_maskz_loadu_ps(some[i], at));
            _mm512_mask_storeu_ps(at, some[i], s[r][i]);
        }
    }
}

/* A pair. */
INLINE void add_products(__m512 s[ROWS][2], const char *d, const char *x) {
    __m512bh low = (__m512bh)_mm512_loadu_si512(x), high = (__m512bh)_mm512_loadu_si512(x + 64);
    UNROLL for (int r = 0; r < ROWS; r++) {
        int32_t pair;
        memcpy(&pair, d + 4 * r, 4);
        __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
        s[r][0] = _mm512_dpbf16_ps(s[r][0], v, low);
        s[r][1] = _mm512_dpbf16_ps(s[r][1], v, high);
    }
}

/* A tile of d' x over so many pairs. As a loop in the loop the pairs of a run were seen to take twice the time. */
static __attribute__((noinline)) void multiply(const char *d, const char *x, int64_t pairs, const place *to, reading *next) {
    __m512 s[ROWS][2];
    UNROLL for (int r = 0; r < ROWS; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (; pairs >= RUN; pairs -= RUN, d += RUN * 4 * PANEL, x += RUN * 4 * BLOCK) {
        fetch(&next->x);
        fetch(&next->dy);
        fetch(&next->owed);
        UNROLL for (int p = 0; p < RUN; p++) add_products(s, d + p * 4 * PANEL, x + p * 4 * BLOCK);
    }
    for (; pairs > 0; pairs--, d += 4 * PANEL, x += 4 * BLOCK) add_products(s, d, x);
    write_tile(to, s);
}

/* A chunk against the tiles [from, to) of a group. */
static void work_chunk(const job *j, const chunk *at, int64_t group, int64_t from, int64_t to, int add, float *sums) {
    const cut *s = &j->s;
    reading next = {.dy = dy_ahead(j, at, to - from), .owed = owed_ahead(j, at, to - from)};
    pack_rows(j, at, group);
    for (int64_t tile = from; tile < to; tile++) {
        int64_t block = tile / s->parts, part = tile % s->parts, c = block * BLOCK;
        int64_t k = (group * s->parts + part) * ROWS;
        if (part == 0 || tile == from) {
            pack_block(j, at, block);
            next.x = x_ahead(j, at, tile, from, to);
        }
        if (k >= s->k) continue;
        place sum = {sums + k * s->c + c, s->c, s->k - k, s->c - c, add};
        const char *d = j->ds + part * ROWS / PANEL * PANEL_BYTES + part * ROWS % PANEL * 4;
        multiply(d, j->xs, over(at->end - at->pixel, 2), &sum, &next);
    }
}

/* All pixels of a slice against the tiles [from, to) of a group. */
static void work_slice(const job *j, int64_t slice, int64_t group, int64_t from, int64_t to) {
    const cut *s = &j->s;
    int64_t begin = s->pixels * slice / s->slices, n = s->pixels * (slice + 1) / s->slices - begin;
    int64_t pairs = over(n, 2), chunks = over(pairs, PAIRS);
    float *sums = s->slices > 1 ? j->slices + slice * s->c * s->k : j->dw;
    for (int64_t i = 0; i < chunks; i++) {
        int64_t pixel = begin + 2 * (pairs * i / chunks), end = begin + min64(n, 2 * (pairs * (i + 1) / chunks));
        chunk at = {pixel, end, begin + min64(n, 2 * (pairs * (i + 2) / chunks))};
        work_chunk(j, &at, group, from, to, i > 0, sums);
    }
}

/* ---- Threads ---- */

static void add_slices(const job *j, int64_t from, int64_t to) {
    int64_t all = j->s.c * j->s.k;
    for (int64_t i = from; i < to; i++) {
        float sum = 0;
        for (int64_t n = 0; n < j->s.slices; n++) sum += j->slices[n * all + i];
        j->dw[i] = sum;
    }
}

static void gradient(const job *all, int64_t threads, char *room) {
    const cut *s = &all->s;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        job mine = *all;
        mine.xs = room + omp_get_thread_num() * thread_bytes(s);
        mine.ds = mine.xs + lines(BLOCK_BYTES);
        share(s->slices * s->groups * s->tiles, 1, &from, &to);
        while (from < to) {
            int64_t tile = from % s->tiles, end = min64(s->tiles, tile + to - from), part = from / s->tiles;
            work_slice(&mine, part / s->groups, part % s->groups, tile, end);
            from += end - tile;
        }
        if (s->slices > 1) {
            PRAGMA(omp barrier)
            share(s->c * s->k, GRAIN, &from, &to);
            add_slices(all, from, to);
        }
    }
}
#endif

int KERNEL(pointwise_backward_weights)(const void *x, int64_t ldx, const ist_norm *norm, const void *dy,
                                       const ist_owed *owed, float *dw, int64_t pixels, int64_t c, int64_t k,
                                       void *scratch, int64_t bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status || (status = norm_check(__func__, norm)) || (status = owed_check(__func__, owed, k))) return status;
    REQUIRE(ldx >= c, "%s: pixels of %lld channels are %lld apart", __func__, (long long)c, (long long)ldx);
    cut s = cut_of(pixels, c, k);
    int64_t shared = slice_bytes(&s) + factor_bytes(&s);
    int64_t threads = min64((bytes - shared) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    char *room = scratch;
    norm_input how;
    if (norm) how = norm_input_of(norm, c, (float *)(room + slice_bytes(&s)));
    job all = {s, x, dy, ldx, norm ? &how : NULL, owed, dw, scratch, NULL, NULL};
    gradient(&all, threads, room + shared);
#else
    (void)x, (void)dy, (void)dw, (void)scratch;
#endif
    return IST_OK;
}
