/*
 * The weight gradient of a convolution of few channels, in bf16. Sums run over outputs, two of a line at a time: what lies
 * under both is a line of the input laid beside itself, one output further on, and is multiplied from there; their dy are laid
 * side by side, channel by channel, with what they are owed paid on the way.
 *
 * Lines of outputs are cut into slices and chunks by the shape alone, and slices are added in order: the bits do not depend on
 * the threads.
 */
#include "conv_stem.h"
#include "settle.h"

/* Lines of outputs in a chunk: a block of their dy stays in the first cache. */
#define CHUNK 4

/* A tile of sums is so many words under a line of a window, at most, times a block of channels. */
#define MOST_ROWS 14

/* Slices have at least so many outputs. */
#define SLICE 8192
#define SLICES 32

typedef struct cut {
    stem s;
    int64_t across, pairs; /* pairs of outputs in a line; in a chunk */
    int64_t rows, parts;   /* words in a tile; tiles of a line of the window */
    int64_t under, slices; /* lines of input under a chunk */
} cut;

static cut cut_of(const ist_window *w) {
    cut c = {.s = stem_of(w, w->out[2]), .across = over(w->out[2], 2)};
    c.pairs = CHUNK * c.across;
    c.parts = over(c.s.words, MOST_ROWS);
    c.rows = over(c.s.words, c.parts);
    c.under = (CHUNK - 1) * c.s.down + c.s.rows;
    c.slices = min64(min64(c.s.lines * w->out[2] / SLICE, SLICES), c.s.lines);
    if (c.slices < 1) c.slices = 1;
    return c;
}

/* Words under a window. */
static int64_t terms_of(const cut *c) { return c->s.rows * c->s.words; }

/* Floats of a slice's sums; bytes of where pairs lie, of a block of dy's pairs, and of what one thread works in. */
static int64_t slice_size(const cut *c) { return terms_of(c) * c->s.blocks * BLOCK; }
static int64_t place_bytes(const cut *c) { return whole(8 * c->pairs, 64); }
static int64_t block_bytes(const cut *c) { return c->pairs * 4 * BLOCK; }
static int64_t thread_bytes(const cut *c) {
    return c->under * pair_line_bytes(&c->s) + c->s.blocks * block_bytes(c) + place_bytes(c);
}

int KERNEL(conv_stem_backward_weights_scratch)(const ist_window *window, int64_t threads, int64_t *bytes) {
    int status = stem_check(__func__, window);
    if (status) return status;
    REQUIRE(threads > 0, "%s: %lld threads", __func__, (long long)threads);
    cut c = cut_of(window);
    *bytes = c.slices * slice_size(&c) * 4 + threads * thread_bytes(&c);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* What one thread reads and where it works. */
typedef struct job {
    const ist_window *w;
    cut c;
    const uint16_t *x, *dy;
    const ist_owed *owed; /* NULL: nothing */
    float *sums;          /* [slice, line and word under a window, blocks of BLOCK] */
    char *xs, *ds;        /* [under, pair, 2]; [block, pair, even and odd channels, 2] */
    int64_t *places;      /* of pairs of outputs, in bytes from where the first window begins */
} job;

/* Lines of outputs [line, end), of one picture; the next chunk's end at `after`. */
typedef struct chunk {
    int64_t line, end, after;
} chunk;

/* ---- Pairs ---- */

static void place_pairs(const job *j) {
    const stem *s = &j->c.s;
    for (int64_t p = 0; p < j->c.pairs; p++)
        j->places[p] = (p / j->c.across * s->down * s->length + p % j->c.across * 2 * s->step) * 4;
}

static void lay_chunk(const job *j, const chunk *at) {
    const stem *s = &j->c.s;
    int64_t n = at->line / j->w->out[1], top = at->line % j->w->out[1] * s->down - j->w->padding[1];
    int64_t rows = (at->end - at->line - 1) * s->down + s->rows;
    for (int64_t r = 0; r < rows; r++) {
        words here = words_of(j->w, j->x, n, top + r);
        lay_pairs(s, here, words_after(here, s->step), j->xs + r * pair_line_bytes(s));
    }
}

/* BLOCK channels of two outputs: pairs of even channels, then of odd ones. */
INLINE void write_split(__m512i a, __m512i b, char *to) {
    __m512i high = _mm512_set1_epi32(-65536);
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_andnot_si512(high, a), _mm512_slli_epi32(b, 16)));
    _mm512_storeu_si512(to + 64, _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_and_si512(high, b)));
}

/* The same with what they are owed paid, to the bits of ist_settle. */
INLINE floats settled(__m512i d, __m512i x, owed_words o) {
    floats to = floats_of(d), of = floats_of(x);
    to.even += (lanes)_mm512_fmadd_ps((__m512)of.even, (__m512)o.slope.even, (__m512)o.shift.even);
    to.odd += (lanes)_mm512_fmadd_ps((__m512)of.odd, (__m512)o.slope.odd, (__m512)o.shift.odd);
    return to;
}

/* Word i of the lower half, then of the upper one. */
INLINE __m512i zip_order(void) {
    uint16_t at[WORDS];
    for (int i = 0; i < WORDS; i++) at[i] = (uint16_t)(i / 2 + i % 2 * (WORDS / 2));
    return _mm512_loadu_si512(at);
}

INLINE void write_settled(floats a, floats b, char *to) {
    __m512i even = (__m512i)_mm512_cvtne2ps_pbh((__m512)b.even, (__m512)a.even);
    __m512i odd = (__m512i)_mm512_cvtne2ps_pbh((__m512)b.odd, (__m512)a.odd);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(zip_order(), even));
    _mm512_storeu_si512(to + 64, _mm512_permutexvar_epi16(zip_order(), odd));
}

/* One line of outputs, a block of channels from `first` on. Beside an odd last output stands nothing. */
static void pack_line(const job *j, int64_t line, int64_t first, char *to) {
    int64_t wide = j->w->out[2], k = j->w->out_channels, ldx = k, o = 0;
    const uint16_t *d = j->dy + line * wide * k + first, *x = d;
    owed_words owed = {0};
    if (j->owed) {
        ldx = j->owed->ldx;
        x = (const uint16_t *)j->owed->x + line * wide * ldx + first;
        owed = owed_words_at(j->owed, first, BLOCK);
    }
    for (; o < wide; o += 2, d += 2 * k, x += 2 * ldx, to += 4 * BLOCK) {
        int both = o + 1 < wide;
        __m512i a = _mm512_loadu_si512(d), b = both ? _mm512_loadu_si512(d + k) : _mm512_setzero_si512();
        if (!j->owed) {
            write_split(a, b, to);
            continue;
        }
        floats second = {0};
        if (both) second = settled(b, _mm512_loadu_si512(x + ldx), owed);
        write_settled(settled(a, _mm512_loadu_si512(x), owed), second, to);
    }
}

static void pack_chunk(const job *j, const chunk *at) {
    for (int64_t line = at->line; line < at->end; line++)
        for (int64_t b = 0; b < j->c.s.blocks; b++)
            pack_line(j, line, b * BLOCK, j->ds + b * block_bytes(&j->c) + (line - at->line) * j->c.across * 4 * BLOCK);
}

/* ---- Reading ahead ---- */

/* The next chunk's dy, and what it is owed, on their way to the caches while products are formed. */
typedef struct ahead {
    const char *dy, *x;
    int64_t step; /* bytes a time */
} ahead;

/* Pairs that are multiplied between fetches. */
#define RUN 4

static ahead ahead_of(const job *j, const chunk *at) {
    const cut *c = &j->c;
    int64_t k = j->w->out_channels, row = j->w->out[2] * k, lines = at->end - at->line;
    int64_t times = c->s.blocks * c->s.rows * c->parts * (lines * c->across / RUN);
    ahead a = {.dy = (const char *)(j->dy + at->end * row)};
    if (times) a.step = 2 * (at->after - at->end) * row / times;
    /* Not between other things, which would be fetched as well. */
    a.x = j->owed && j->owed->ldx == k ? (const char *)j->owed->x + 2 * at->end * row : a.dy;
    return a;
}

INLINE void fetch(ahead *a) {
    __builtin_prefetch(a->dy, 0, 2);
    __builtin_prefetch(a->x, 0, 2);
    a->dy += a->step;
    a->x += a->step;
}

/* ---- The product ---- */

/* Rows of sums, ld apart; add: to what is there. */
typedef struct place {
    float *sums;
    int64_t ld;
    int add;
} place;

/* A pair. */
INLINE void add_products(int rows, __m512 s[MOST_ROWS][2], const char *x, const char *d) {
    __m512bh even = (__m512bh)_mm512_loadu_si512(d), odd = (__m512bh)_mm512_loadu_si512(d + 64);
    UNROLL for (int r = 0; r < rows; r++) {
        int32_t pair;
        memcpy(&pair, x + 4 * r, 4);
        __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
        s[r][0] = _mm512_dpbf16_ps(s[r][0], v, even);
        s[r][1] = _mm512_dpbf16_ps(s[r][1], v, odd);
    }
}

INLINE void multiply(int rows, const char *x, const int64_t *places, const char *d, int64_t pairs, const place *to,
                     ahead *next) {
    __m512 s[MOST_ROWS][2];
    UNROLL for (int r = 0; r < rows; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (; pairs >= RUN; pairs -= RUN, places += RUN, d += RUN * 4 * BLOCK) {
        fetch(next);
        UNROLL for (int p = 0; p < RUN; p++) add_products(rows, s, x + places[p], d + p * 4 * BLOCK);
    }
    for (; pairs > 0; pairs--, places++, d += 4 * BLOCK) add_products(rows, s, x + *places, d);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int i = 0; i < 2; i++) {
            float *at = to->sums + r * to->ld + 16 * i;
            if (to->add) s[r][i] = _mm512_add_ps(s[r][i], _mm512_loadu_ps(at));
            _mm512_storeu_ps(at, s[r][i]);
        }
}

static __attribute__((noinline)) void multiply_as(int64_t rows, const char *x, const int64_t *places, const char *d,
                                                  int64_t pairs, const place *to, ahead *next) {
    switch (rows) {
#define CASE(r) case r: multiply(r, x, places, d, pairs, to, next); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
        CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
    }
}

/* ---- Chunks and slices ---- */

static void work_chunk(const job *j, const chunk *at, int add, float *sums) {
    const cut *c = &j->c;
    int64_t ld = c->s.blocks * BLOCK, pairs = (at->end - at->line) * c->across;
    ahead next = ahead_of(j, at);
    lay_chunk(j, at);
    pack_chunk(j, at);
    for (int64_t block = 0; block < c->s.blocks; block++)
        for (int64_t row = 0; row < c->s.rows; row++)
            for (int64_t t = 0; t < c->s.words; t += c->rows) {
                place to = {sums + (row * c->s.words + t) * ld + block * BLOCK, ld, add};
                multiply_as(min64(c->rows, c->s.words - t), j->xs + row * pair_line_bytes(&c->s) + 4 * t, j->places,
                            j->ds + block * block_bytes(c), pairs, &to, &next);
            }
}

/* The chunk that begins at a line ends with its picture. */
static int64_t chunk_end(const job *j, int64_t line, int64_t end) {
    return min64(end, min64(line + CHUNK, (line / j->w->out[1] + 1) * j->w->out[1]));
}

static void work_slice(const job *j, int64_t slice) {
    int64_t lines = j->c.s.lines, slices = j->c.slices;
    int64_t begin = lines * slice / slices, end = lines * (slice + 1) / slices;
    for (int64_t line = begin, to; line < end; line = to) {
        to = chunk_end(j, line, end);
        chunk at = {line, to, to < end ? chunk_end(j, to, end) : to};
        work_chunk(j, &at, line > begin, j->sums + slice * slice_size(&j->c));
    }
}

/* Weights of the output channels [from, to). */
static void add_slices(const job *j, float *dw, int64_t from, int64_t to) {
    const stem *s = &j->c.s;
    int64_t channels = j->w->channels, ld = s->blocks * BLOCK;
    for (int64_t k = from; k < to; k++)
        for (int64_t i = 0; i < terms_of(&j->c); i++) {
            int64_t row = i / s->words, column = i % s->words / channels, c = i % channels;
            const float *part = j->sums + i * ld + k / BLOCK * BLOCK + k % 2 * (BLOCK / 2) + k % BLOCK / 2;
            float sum = 0;
            for (int64_t n = 0; n < j->c.slices; n++) sum += part[n * slice_size(&j->c)];
            dw[((k * channels + c) * s->rows + row) * s->columns + column] = sum;
        }
}

static void gradient(const job *all, float *dw, int64_t threads, char *room) {
    const cut *c = &all->c;
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        job mine = *all;
        mine.ds = room + omp_get_thread_num() * thread_bytes(c);
        mine.xs = mine.ds + c->s.blocks * block_bytes(c);
        mine.places = (int64_t *)(mine.xs + c->under * pair_line_bytes(&c->s));
        place_pairs(&mine);
        share(c->slices, 1, &from, &to);
        for (; from < to; from++) work_slice(&mine, from);
        PRAGMA(omp barrier)
        share(mine.w->out_channels, 1, &from, &to);
        add_slices(&mine, dw, from, to);
    }
}
#endif

int KERNEL(conv_stem_backward_weights)(const ist_window *window, const void *x, const void *dy, const ist_owed *owed,
                                       float *dw, void *scratch, int64_t bytes) {
    int status = stem_check(__func__, window);
    if (status || (status = owed_check(__func__, owed, window->out_channels))) return status;
    cut c = cut_of(window);
    int64_t shared = c.slices * slice_size(&c) * 4;
    int64_t threads = min64((bytes - shared) / thread_bytes(&c), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(shared + thread_bytes(&c)));
#if defined(__AVX512BF16__)
    job all = {.w = window, .c = c, .x = x, .dy = dy, .owed = owed, .sums = scratch};
    gradient(&all, dw, threads, (char *)scratch + shared);
#else
    (void)x, (void)dy, (void)dw, (void)scratch;
#endif
    return IST_OK;
}
