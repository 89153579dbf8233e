/*
 * The weight gradient of a convolution with one tap, in bf16: dw [k,c] = dy' x, sums over all pixels in float32. bf16
 * products come in pairs along what is summed, so two pixels are laid side by side first, a chunk of them at a time that
 * stays in the second cache.
 *
 * Pixels are cut into slices by the shape alone, and slices are added in order: the bits do not depend on the threads.
 */
#include "bf16.h"

/* Sums [ROWS output channels, BLOCK channels] fill the registers. Output channels come in parts of at most ROWS, each in the
 * space of a vector. */
#define ROWS 14
#define SPACE 16
#define BLOCK 32

/* Pairs of pixels in a chunk. */
#define PAIRS 128

/* Bytes from one block to the next, from one part to the next: a line more than they fill, so that not all begin in the
 * same set of the cache. */
#define COLUMN_BYTES (PAIRS * 4 * BLOCK + 64)
#define ROW_BYTES (PAIRS * 4 * SPACE + 64)

/* Weights fewer than this are summed in slices of at least so many pixels; of more, each thread takes a part. */
#define SLICED_BELOW 40000
#define SLICE 4096
#define SLICES 32

typedef struct cut {
    int64_t pixels, c, k;
    int64_t blocks, parts; /* of c, of k */
    int64_t slices;
} cut;

static cut cut_of(int64_t pixels, int64_t c, int64_t k) {
    int64_t most = c * k < SLICED_BELOW ? min64(pixels / SLICE, SLICES) : 1;
    return (cut){pixels, c, k, (c + BLOCK - 1) / BLOCK, (k + ROWS - 1) / ROWS, most < 1 ? 1 : most};
}

/* Bytes of the slices' sums, and of what one thread works in: chunks of both operands. */
static int64_t slice_bytes(const cut *s) { return s->slices > 1 ? s->slices * s->c * s->k * 4 : 0; }
static int64_t thread_bytes(const cut *s) { return s->blocks * COLUMN_BYTES + s->parts * ROW_BYTES; }

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
    *bytes = slice_bytes(&s) + threads * thread_bytes(&s);
    return IST_OK;
}

#if defined(__AVX512BF16__)
/* What one thread reads and where it works. */
typedef struct job {
    cut s;
    const uint16_t *x, *dy;
    float *dw, *slices;
    char *xs, *ds; /* [block, PAIRS, BLOCK, 2]; [part, PAIRS, SPACE, 2] */
} job;

INLINE __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n > 0 ? (1 << n) - 1 : 0; }

/* At most 16 channels of two pixels, n of them there, side by side; b may be missing. */
INLINE void pair_up(const uint16_t *a, const uint16_t *b, int64_t n, char *to) {
    __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), a));
    if (b) x = _mm512_or_si512(x, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), b)), 16));
    _mm512_storeu_si512(to, x);
}

/* The first channel of a part of k. */
INLINE int64_t first_of(const cut *s, int64_t part) { return s->k * part / s->parts; }

static void pack_rows(const job *j, int64_t pixel, int64_t end) {
    int64_t k = j->s.k;
    for (int64_t p = pixel; p < end; p += 2) {
        const uint16_t *a = j->dy + p * k, *b = p + 1 < end ? a + k : NULL;
        char *to = j->ds + (p - pixel) / 2 * 4 * SPACE;
        for (int64_t part = 0; part < j->s.parts; part++, to += ROW_BYTES) {
            int64_t at = first_of(&j->s, part);
            pair_up(a + at, b ? b + at : NULL, k - at, to);
        }
    }
}

static void pack_columns(const job *j, int64_t pixel, int64_t end, int64_t from, int64_t to) {
    int64_t c = j->s.c;
    for (int64_t p = pixel; p < end; p += 2) {
        const uint16_t *a = j->x + p * c, *b = p + 1 < end ? a + c : NULL;
        char *at = j->xs + from * COLUMN_BYTES + (p - pixel) / 2 * 4 * BLOCK;
        for (int64_t i = from * BLOCK; i < to * BLOCK; i += BLOCK, at += COLUMN_BYTES) {
            pair_up(a + i, b ? b + i : NULL, c - i, at);
            pair_up(a + i + 16, b ? b + i + 16 : NULL, c - i - 16, at + 64);
        }
    }
}

/* sum [rows, BLOCK], ld apart, of which n columns are there, += or = over pairs of d' x. */
INLINE void multiply(int rows, const char *d, const char *x, int64_t pairs, int add, float *sum, int64_t ld, int64_t n) {
    __mmask16 low = first(n), high = first(n - 16);
    __m512 s[ROWS][2];
    UNROLL for (int t = 0; t < rows; t++) {
        s[t][0] = add ? _mm512_maskz_loadu_ps(low, sum + t * ld) : _mm512_setzero_ps();
        s[t][1] = add ? _mm512_maskz_loadu_ps(high, sum + t * ld + 16) : _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < pairs; p++, d += 4 * SPACE, x += 4 * BLOCK) {
        __m512bh x0 = (__m512bh)_mm512_loadu_si512(x), x1 = (__m512bh)_mm512_loadu_si512(x + 64);
        UNROLL for (int t = 0; t < rows; t++) {
            int32_t pair;
            memcpy(&pair, d + 4 * t, 4);
            __m512bh v = (__m512bh)_mm512_set1_epi32(pair);
            s[t][0] = _mm512_dpbf16_ps(s[t][0], v, x0);
            s[t][1] = _mm512_dpbf16_ps(s[t][1], v, x1);
        }
    }
    UNROLL for (int t = 0; t < rows; t++) {
        _mm512_mask_storeu_ps(sum + t * ld, low, s[t][0]);
        _mm512_mask_storeu_ps(sum + t * ld + 16, high, s[t][1]);
    }
}

static __attribute__((noinline)) void multiply_rows(int64_t rows, const char *d, const char *x, int64_t pairs, int add,
                                                    float *sum, int64_t ld, int64_t n) {
    switch (rows) {
#define CASE(r) case r: multiply(r, d, x, pairs, add, sum, ld, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
        CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
    }
}

/* Fetches a part of n pixels into the second cache, while the products of others are formed: reading them is otherwise a third
 * of the time. */
INLINE void fetch(const uint16_t *x, int64_t c, int64_t pixel, int64_t n, int64_t part, int64_t parts) {
    const char *from = (const char *)(x + (pixel + n * part / parts) * c);
    const char *to = (const char *)(x + (pixel + n * (part + 1) / parts) * c);
    for (; from < to; from += 64) __builtin_prefetch(from, 0, 2);
}

/* All of a slice's pixels against the blocks [from, to) of c. */
static void slice(const job *j, int64_t number, int64_t from, int64_t to) {
    const cut *s = &j->s;
    int64_t begin = s->pixels * number / s->slices, end = s->pixels * (number + 1) / s->slices;
    float *sums = s->slices > 1 ? j->slices + number * s->c * s->k : j->dw;
    for (int64_t pixel = begin; pixel < end; pixel += 2 * PAIRS) {
        int64_t last = min64(end, pixel + 2 * PAIRS), pairs = (last - pixel + 1) / 2;
        pack_rows(j, pixel, last);
        pack_columns(j, pixel, last, from, to);
        int64_t next = min64(end - last, 2 * PAIRS), steps = (to - from) * s->parts;
        for (int64_t block = from; block < to; block++) {
            const char *x = j->xs + block * COLUMN_BYTES;
            for (int64_t part = 0; part < s->parts; part++) {
                int64_t k = first_of(s, part), c = block * BLOCK, step = (block - from) * s->parts + part;
                fetch(j->dy, s->k, last, next, step, steps);
                fetch(j->x, s->c, last, next, step, steps);
                multiply_rows(first_of(s, part + 1) - k, j->ds + part * ROW_BYTES, x, pairs, pixel > begin,
                              sums + k * s->c + c, s->c, s->c - c);
            }
        }
    }
}

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
    int64_t parts = min64(s->blocks, (threads + s->slices - 1) / s->slices);
    PRAGMA(omp parallel num_threads((int)threads)) {
        int64_t from, to;
        job mine = *all;
        mine.xs = room + omp_get_thread_num() * thread_bytes(s);
        mine.ds = mine.xs + s->blocks * COLUMN_BYTES;
        share(s->slices * parts, 1, &from, &to);
        for (; from < to; from++) {
            int64_t part = from % parts;
            slice(&mine, from / parts, s->blocks * part / parts, s->blocks * (part + 1) / parts);
        }
        if (s->slices > 1) {
            PRAGMA(omp barrier)
            share(s->c * s->k, GRAIN, &from, &to);
            add_slices(all, from, to);
        }
    }
}
#endif

int KERNEL(pointwise_backward_weights)(const void *x, const void *dy, float *dw, int64_t pixels, int64_t c, int64_t k,
                                       void *scratch, int64_t bytes) {
    int status = pointwise_check(__func__, pixels, c, k);
    if (status) return status;
    cut s = cut_of(pixels, c, k);
    int64_t threads = min64((bytes - slice_bytes(&s)) / thread_bytes(&s), omp_get_max_threads());
    REQUIRE(threads > 0, "%s: %lld bytes of scratch memory; one thread needs %lld", __func__, (long long)bytes,
            (long long)(slice_bytes(&s) + thread_bytes(&s)));
#if defined(__AVX512BF16__)
    job all = {s, x, dy, dw, scratch, NULL, NULL};
    gradient(&all, threads, (char *)scratch + slice_bytes(&s));
#else
    (void)x, (void)dy, (void)dw, (void)scratch;
#endif
    return IST_OK;
}
