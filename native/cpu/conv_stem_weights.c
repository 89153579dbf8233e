/*
 * The weight gradient of a convolution of few channels, in bf16. Sums run over outputs, two of a line at a time: what
 * lies under both is a line of the input laid beside itself, one output further on, and is multiplied from there; their dy
 * are laid side by side, channel by channel, with what they are owed paid on the way. That is done for the next lines of
 * outputs between the products of these, in time that they leave over.
 *
 * Lines of outputs are cut into slices and chunks by the shape alone, and slices are added in order: the bits do not depend
 * on the threads.
 */
#include "conv_stem.h"
#include "settle.h"

/* Lines of outputs in a chunk: a block of their dy stays in the first cache. */
#define CHUNK 4

/* A tile of sums is so many words under a line of a window, at most, times a block of channels. That leaves registers
 * for what is done between the products. */
#define MOST_ROWS 11

/* Pairs that are multiplied between two looks at what else is to be done. */
#define RUN 4

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

/* Words under a window; floats of a slice's sums. */
static int64_t terms_of(const cut *c) { return c->s.rows * c->s.words; }
static int64_t slice_size(const cut *c) { return terms_of(c) * c->s.blocks * BLOCK; }

/* Floats for a block of channels of what dy is owed. */
#define NUMBERS (2 * BLOCK)

/* Bytes of a block of dy's pairs, and of what one thread works in: the input, dy of this chunk and of the next, where
 * pairs lie, what is owed. */
static int64_t block_bytes(const cut *c) { return c->pairs * 4 * BLOCK; }
static int64_t input_size(const cut *c) { return c->under * pair_line_bytes(&c->s); }
static int64_t place_bytes(const cut *c) { return whole(8 * c->pairs, 64); }
static int64_t thread_bytes(const cut *c) {
    return room_bytes(input_size(c) + c->s.blocks * (2 * block_bytes(c) + 4 * NUMBERS) + place_bytes(c));
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
    char *xs, *ds[2];     /* [under, pair, 2]; [block, pair, even and odd channels, 2], of two chunks in turn */
    int64_t *places;      /* of pairs of outputs, in bytes from where the first window begins */
    float *numbers;       /* [block, NUMBERS]: what is owed, as settled wants it */
} job;

/* Lines of outputs [line, end), of one picture. */
typedef struct chunk {
    int64_t line, end;
} chunk;

/* The room of a thread. */
static void move_in(job *j, char *room) {
    const cut *c = &j->c;
    const stem *s = &c->s;
    j->xs = room;
    j->ds[0] = j->xs + input_size(c);
    j->ds[1] = j->ds[0] + s->blocks * block_bytes(c);
    j->places = (int64_t *)(j->ds[1] + s->blocks * block_bytes(c));
    j->numbers = (float *)((char *)j->places + place_bytes(c));
    for (int64_t p = 0; p < c->pairs; p++)
        j->places[p] = (p / c->across * s->down * s->length + p % c->across * 2 * s->step) * 4;
    for (int64_t b = 0; j->owed && b < s->blocks; b++) {
        owed_words o = owed_words_at(j->owed, b * BLOCK, BLOCK);
        memcpy(j->numbers + b * NUMBERS, &o, sizeof o);
    }
}

/* ---- The input ---- */

static int64_t top_of(const job *j, int64_t line) { return line % j->w->out[1] * j->c.s.down - j->w->padding[1]; }

static void lay_chunk(const job *j, const chunk *at) {
    const stem *s = &j->c.s;
    int64_t n = at->line / j->w->out[1], rows = (at->end - at->line - 1) * s->down + s->rows;
    for (int64_t r = 0; r < rows; r++) {
        words here = words_of(j->w, j->x, n, top_of(j, at->line) + r);
        lay_pairs(s, here, words_after(here, s->step), j->xs + r * pair_line_bytes(s));
    }
}

/* ---- dy ---- */

/* BLOCK channels of two outputs: pairs of even channels, then of odd ones. */
INLINE void write_split(__m512i a, __m512i b, char *to) {
    __m512i high = _mm512_set1_epi32(-65536);
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_andnot_si512(high, a), _mm512_slli_epi32(b, 16)));
    _mm512_storeu_si512(to + 64, _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_and_si512(high, b)));
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

/* A chunk whose dy is laid side by side: two outputs' block of channels at a time, in the order of memory. */
typedef struct packing {
    const uint16_t *d, *x; /* dy, and what it is owed on */
    char *to;
    int64_t block, o, left; /* of the channels; which output of its line; how often still */
    int64_t wait, every;    /* runs of products until the next time, and from one to the next */
    const char *input;      /* what the chunk adds to those before, fetched meanwhile */
    int64_t input_step;
} packing;

static packing packing_of(const job *j, const chunk *at, char *to) {
    const cut *c = &j->c;
    int64_t pixel = at->line * j->w->out[2], lines = at->end - at->line, runs = c->s.rows * c->parts / RUN;
    packing p = {.d = j->dy + pixel * j->w->out_channels, .to = to, .left = lines * c->across * c->s.blocks};
    if (j->owed) p.x = (const uint16_t *)j->owed->x + pixel * j->owed->ldx;
    p.every = p.wait = runs < 1 ? 1 : runs;
    p.input = input_after(j->w, j->x, at->line / j->w->out[1], top_of(j, at->line) + c->s.rows - c->s.down);
    if (p.left) p.input_step = over(input_bytes(j->w, lines), p.left);
    return p;
}

/* To the next block, or to the next two outputs. */
INLINE void advance(const job *j, packing *p, int both) {
    int64_t k = j->w->out_channels, more = both ? 2 : 1, block = block_bytes(&j->c);
    p->left--;
    p->d += BLOCK;
    p->to += block;
    if (j->owed) p->x += BLOCK;
    if (++p->block < j->c.s.blocks) return;
    p->block = 0;
    p->d += (more - 1) * k;
    p->to += 4 * BLOCK - j->c.s.blocks * block;
    if (j->owed) p->x += more * j->owed->ldx - k;
    p->o = p->o + 2 < j->w->out[2] ? p->o + 2 : 0;
}

/* Outputs that are fetched ahead. */
#define AHEAD 16

INLINE void fetch(const uint16_t *row, int64_t ld) {
    __builtin_prefetch(row + AHEAD * ld);
    __builtin_prefetch(row + (AHEAD + 1) * ld);
}

/* Beside an odd last output stands nothing. */
INLINE void pack_next(int owed, const job *j, packing *p) {
    int64_t k = j->w->out_channels;
    int both = p->o + 1 < j->w->out[2];
    __m512i a = _mm512_loadu_si512(p->d), b = both ? _mm512_loadu_si512(p->d + k) : _mm512_setzero_si512();
    fetch(p->d, k);
    __builtin_prefetch(p->input);
    p->input += p->input_step;
    if (owed) {
        const float *n = j->numbers + p->block * NUMBERS;
        owed_words o = {{lanes_at(n), lanes_at(n + 16)}, {lanes_at(n + 32), lanes_at(n + 48)}};
        int64_t ldx = j->owed->ldx;
        floats second = {{0}, {0}};
        if (both) second = settled(b, _mm512_loadu_si512(p->x + ldx), o);
        write_settled(settled(a, _mm512_loadu_si512(p->x), o), second, p->to);
        fetch(p->x, ldx);
    } else {
        write_split(a, b, p->to);
    }
    advance(j, p, both);
}

static void pack_rest(const job *j, packing *p) {
    while (p->left > 0) {
        if (j->owed) pack_next(1, j, p);
        else pack_next(0, j, p);
    }
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

INLINE void multiply(int rows, int owed, const job *j, const char *x, const char *d, int64_t pairs, const place *to,
                     packing *next) {
    __m512 s[MOST_ROWS][2];
    const int64_t *places = j->places;
    UNROLL for (int r = 0; r < rows; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (; pairs >= RUN; pairs -= RUN, places += RUN, d += RUN * 4 * BLOCK) {
        if (--next->wait == 0) {
            next->wait = next->every;
            if (next->left > 0) pack_next(owed, j, next);
        }
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

static __attribute__((noinline)) void multiply_as(int64_t rows, const job *j, const char *x, const char *d,
                                                  int64_t pairs, const place *to, packing *next) {
    switch (2 * rows + (j->owed != NULL)) {
#define AS(r, owed) case 2 * r + owed: multiply(r, owed, j, x, d, pairs, to, next); break;
#define CASE(r) AS(r, 0) AS(r, 1)
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11)
    }
}

/* ---- Chunks and slices ---- */

/* The products of a chunk whose dy is ds. */
static void work_chunk(const job *j, const chunk *at, const char *ds, int add, float *sums, packing *next) {
    const cut *c = &j->c;
    int64_t ld = c->s.blocks * BLOCK, pairs = (at->end - at->line) * c->across;
    lay_chunk(j, at);
    for (int64_t block = 0; block < c->s.blocks; block++)
        for (int64_t row = 0; row < c->s.rows; row++)
            for (int64_t t = 0; t < c->s.words; t += c->rows) {
                place to = {sums + (row * c->s.words + t) * ld + block * BLOCK, ld, add};
                multiply_as(min64(c->rows, c->s.words - t), j, j->xs + row * pair_line_bytes(&c->s) + 4 * t,
                            ds + block * block_bytes(c), pairs, &to, next);
            }
}

/* The chunk that begins at a line ends with its picture. */
static int64_t chunk_end(const job *j, int64_t line, int64_t end) {
    return min64(end, min64(line + CHUNK, (line / j->w->out[1] + 1) * j->w->out[1]));
}

static void work_slice(const job *j, int64_t slice) {
    int64_t lines = j->c.s.lines, slices = j->c.slices;
    int64_t begin = lines * slice / slices, end = lines * (slice + 1) / slices;
    chunk at = {begin, chunk_end(j, begin, end)};
    packing packed = packing_of(j, &at, j->ds[0]);
    pack_rest(j, &packed);
    for (int64_t i = 0; at.line < end; i++) {
        chunk after = {at.end, chunk_end(j, at.end, end)};
        packed = packing_of(j, &after, j->ds[(i + 1) % 2]);
        work_chunk(j, &at, j->ds[i % 2], i > 0, j->sums + slice * slice_size(&j->c), &packed);
        pack_rest(j, &packed);
        at = after;
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

static void gradient(const job *all, float *dw, int64_t threads, char *rooms) {
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        job mine = *all;
        move_in(&mine, room_in(rooms, thread_bytes(&all->c)));
        share(mine.c.slices, 1, &from, &to);
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
