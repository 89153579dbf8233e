/* What pools of a normalised value that is nowhere in memory share: the way back through the norm, line by line. */
#ifndef IST_NORM_POOL_H
#define IST_NORM_POOL_H

#include "norm_input.h"
#include "window.h"

/* Channels are taken in blocks of so many. */
#define BLOCK 32

static inline int norm_pool_channels(const char *call, const ist_window *w, const ist_norm *norm) {
    int status = window_check(call, w);
    if (!status) status = bf16_check(call);
    if (!status) status = norm_check(call, norm);
    if (!status && w->channels % BLOCK)
        status = ist_fail(IST_INVALID_ARGUMENT, "%s: %lld channels; this is for multiples of %d", call,
                          (long long)w->channels, BLOCK);
    return status;
}

#if defined(__AVX512BF16__)
/* What a line's gradient is made from, and its sums [c]. */
typedef struct back {
    const ist_norm_gradient *g;
    norm_input norm;
    const uint16_t *dy;
    const uint8_t *position; /* of the largest, or NULL */
    uint16_t *dx;
    int64_t lddx;
    int stream; /* whether dx is too large to be in the caches when it is read */
    float *sum, *product;
} back;

/* The gradient of one line of windows or of x, added to the sums. */
typedef void back_line(const ist_window *w, const back *b, int64_t line);

/* dx of 16 channels from the j-th on, at a position of x, for dy that flows there; adds to the sums. */
INLINE lanes back_lanes(const back *b, int relu, int adds, norm_lanes k, int64_t at, lanes dy, int64_t j, lanes *sum,
                        lanes *product) {
    lanes from = {0}, x = widen((const uint16_t *)b->g->x + at * b->g->ldx + j);
    if (adds) from = widen((const uint16_t *)b->g->add + at * b->g->ldadd + j);
    return norm_gradient_of(dy, x, from, k, relu, sum, product);
}

INLINE void put_block(const back *b, int64_t at, int64_t j, lanes low, lanes high) {
    void *to = b->dx + at * b->lddx + j;
    __m512i words = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
    if (b->stream) _mm512_stream_si512(to, words);
    else _mm512_storeu_si512(to, words);
}

/* The lines [from, to), whose sums are added to float64 ones one by one. */
static void back_lines(const ist_window *w, const back *b, back_line *line, double *sum, double *product, int64_t from,
                       int64_t to) {
    for (int64_t i = from; i < to; i++) {
        memset(b->sum, 0, (size_t)w->channels * sizeof(float));
        memset(b->product, 0, (size_t)w->channels * sizeof(float));
        line(w, b, i);
        for (int64_t j = 0; j < w->channels; j++) {
            sum[j] += b->sum[j];
            product[j] += b->product[j];
        }
    }
}

/* What a thread sums in: [2, c] float64 and [2, c] float32. */
static int64_t sums_bytes(int64_t c) { return 3 * c * (int64_t)sizeof(double); }

static void back_all(const ist_window *w, const back *all, back_line *line, int64_t lines, char *rooms, int threads) {
    int64_t c = w->channels, each = room_bytes(sums_bytes(c));
    PRAGMA(omp parallel num_threads(threads)) {
        int64_t from, to;
        double *mine = (double *)room_in(rooms, each);
        memset(mine, 0, (size_t)sums_bytes(c));
        back b = *all;
        b.sum = (float *)(mine + 2 * c);
        b.product = b.sum + c;
        share(lines, 1, &from, &to);
        back_lines(w, &b, line, mine, mine + c, from, to);
        _mm_sfence();
    }
    double *sums = (double *)room_in(rooms, each);
    for (int t = 1; t < threads; t++)
        for (int64_t j = 0; j < 2 * c; j++) sums[j] += *(const double *)((char *)(sums + j) + t * each);
    norm_gradient_owe(all->g, sums, sums + c, w->batch * volume(w->in), c);
}

/* A gradient of so many lines; each thread takes a share. */
static inline int norm_pool_backward(const char *call, const ist_window *w, const ist_norm_gradient *g, const void *dy,
                                     const uint8_t *position, void *dx, int64_t lddx, int64_t lines, back_line *line) {
    int threads = omp_get_max_threads();
    int64_t c = w->channels, size = 2 * w->batch * volume(w->in) * c;
    float *factors = malloc((size_t)c * sizeof(float) + (size_t)(threads * room_bytes(sums_bytes(c))));
    if (!factors) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for the sums", call);
    int stream = size >= STREAM_BYTES && (uintptr_t)dx % 64 == 0 && lddx % BLOCK == 0 && g->add != dx;
    norm_input norm = norm_input_of(&g->norm, c, factors);
    back all = {g, norm, dy, position, dx, lddx, stream, NULL, NULL};
    back_all(w, &all, line, lines, (char *)(factors + c), threads);
    free(factors);
    return IST_OK;
}
#endif

static inline int norm_pool_rows(const char *call, const ist_window *w, int64_t lddx, const ist_norm_gradient *g) {
    if (min64(lddx, min64(g->ldx, g->add ? g->ldadd : lddx)) >= w->channels) return IST_OK;
    return ist_fail(IST_INVALID_ARGUMENT, "%s: positions are %lld, %lld and %lld apart but have %lld channels", call,
                    (long long)lddx, (long long)g->ldx, (long long)g->ldadd, (long long)w->channels);
}

#endif
