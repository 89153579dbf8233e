/*
 * Averages of 2x2 positions of a normalised value that is nowhere in memory, and their gradient back through the norm: one pass
 * over what is large each, in bf16.
 */
#include "norm_input.h"
#include "window.h"

/* Channels are taken in blocks of so many. */
#define BLOCK 32

static int norm_pool_check(const char *call, const ist_window *w, const ist_norm *norm) {
    int status = window_check(call, w);
    if (!status) status = bf16_check(call);
    if (!status) status = norm_check(call, norm);
    if (status) return status;
    for (int d = 0; d < 3; d++) {
        int64_t edge = d == 0 ? 1 : 2;
        if (w->kernel[d] != edge || w->stride[d] != edge || w->padding[d] || w->in[d] != edge * w->out[d])
            return ist_fail(IST_INVALID_ARGUMENT, "%s: axis %d: kernel %lld, stride %lld, padding %lld, %lld to %lld; this "
                            "is for whole windows of 2 x 2 without padding", call, d, (long long)w->kernel[d],
                            (long long)w->stride[d], (long long)w->padding[d], (long long)w->in[d], (long long)w->out[d]);
    }
    if (w->channels % BLOCK)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld channels; this is for multiples of %d", call,
                        (long long)w->channels, BLOCK);
    return IST_OK;
}

#if defined(__AVX512BF16__)
enum { TAPS = 4 };

/* A line of windows: the first of their positions above and below, and their first result. */
typedef struct line {
    int64_t above, below, out;
} line;

static line line_of(const ist_window *w, int64_t number) {
    int64_t wide = w->in[2];
    return (line){2 * number * wide, (2 * number + 1) * wide, number * w->out[2]};
}

INLINE void average_line(const ist_window *w, const uint16_t *x, int64_t ldx, const norm_input *n, int relu, uint16_t *y,
                         line l) {
    for (int64_t o = 0; o < w->out[2]; o++) {
        const uint16_t *a = x + (l.above + 2 * o) * ldx, *b = x + (l.below + 2 * o) * ldx;
        const uint16_t *at[TAPS] = {a, a + ldx, b, b + ldx};
        for (int64_t j = 0; j < w->channels; j += 16) {
            norm_lanes k = norm_lanes_at(n, j);
            lanes sum = {0};
            UNROLL for (int t = 0; t < TAPS; t++) {
                /* Rounded as if it had been stored. */
                uint16_t rounded[16];
                narrow(rounded, norm_of(widen(at[t] + j), k, relu));
                sum += widen(rounded);
            }
            narrow(y + (l.out + o) * w->channels + j, sum / (float)TAPS);
        }
    }
}

/* What a line's gradient is made from, and its sums [c]. */
typedef struct back {
    const ist_norm_gradient *g;
    norm_input norm;
    const uint16_t *dy;
    uint16_t *dx;
    int64_t lddx;
    int stream; /* whether dx is too large to be in the caches when it is read */
    float *sum, *product;
} back;

/* dx of 16 channels from the j-th on, of the four positions under one result; adds to their sums. */
INLINE void gradient_lanes(const back *b, int relu, int adds, const int64_t *at, const uint16_t *dy, int64_t j, lanes *dx) {
    const uint16_t *x = b->g->x, *add = b->g->add;
    norm_lanes k = norm_lanes_at(&b->norm, j);
    lanes d = widen(dy + j) / (float)TAPS, sum = lanes_at(b->sum + j), product = lanes_at(b->product + j);
    UNROLL for (int t = 0; t < TAPS; t++) {
        lanes from = {0};
        if (adds) from = widen(add + at[t] * b->g->ldadd + j);
        dx[t] = norm_gradient_of(d, widen(x + at[t] * b->g->ldx + j), from, k, relu, &sum, &product);
    }
    _mm512_storeu_ps(b->sum + j, (__m512)sum);
    _mm512_storeu_ps(b->product + j, (__m512)product);
}

INLINE void gradient_line(const ist_window *w, const back *b, int relu, int adds, line l) {
    for (int64_t o = 0; o < w->out[2]; o++) {
        int64_t above = l.above + 2 * o, below = l.below + 2 * o, at[TAPS] = {above, above + 1, below, below + 1};
        const uint16_t *dy = b->dy + (l.out + o) * w->channels;
        for (int64_t j = 0; j < w->channels; j += BLOCK) {
            lanes low[TAPS], high[TAPS];
            gradient_lanes(b, relu, adds, at, dy, j, low);
            gradient_lanes(b, relu, adds, at, dy, j + 16, high);
            UNROLL for (int t = 0; t < TAPS; t++) {
                void *to = b->dx + at[t] * b->lddx + j;
                __m512i words = (__m512i)_mm512_cvtne2ps_pbh((__m512)high[t], (__m512)low[t]);
                if (b->stream) _mm512_stream_si512(to, words);
                else _mm512_storeu_si512(to, words);
            }
        }
    }
}

/* The lines [from, to), whose sums are added to float64 ones one by one. */
static void gradient_lines(const ist_window *w, back b, double *sum, double *product, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        memset(b.sum, 0, (size_t)w->channels * sizeof(float));
        memset(b.product, 0, (size_t)w->channels * sizeof(float));
        line l = line_of(w, i);
        if (b.norm.relu && b.g->add) gradient_line(w, &b, 1, 1, l);
        else if (b.norm.relu) gradient_line(w, &b, 1, 0, l);
        else gradient_line(w, &b, 0, b.g->add != NULL, l);
        for (int64_t j = 0; j < w->channels; j++) {
            sum[j] += b.sum[j];
            product[j] += b.product[j];
        }
    }
}

/* room: for each thread sums [2, c] float64 and [2, c] float32, then the factors. */
static void gradient(const ist_window *w, back all, double *room, int threads) {
    int64_t c = w->channels, lines = w->batch * w->out[0] * w->out[1], one = 3 * c;
    memset(room, 0, (size_t)(threads * one) * sizeof(double));
    PRAGMA(omp parallel num_threads(threads)) {
        int64_t from, to;
        double *mine = room + omp_get_thread_num() * one;
        back b = all;
        b.sum = (float *)(mine + 2 * c);
        b.product = b.sum + c;
        share(lines, 1, &from, &to);
        gradient_lines(w, b, mine, mine + c, from, to);
        _mm_sfence();
    }
    for (int t = 1; t < threads; t++)
        for (int64_t j = 0; j < 2 * c; j++) room[j] += room[t * one + j];
    norm_gradient_owe(all.g, room, room + c, w->batch * w->in[0] * w->in[1] * w->in[2], c);
}
#endif

int KERNEL(norm_avg_pool)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, void *y) {
    int status = norm_pool_check(__func__, window, norm);
    if (status) return status;
    REQUIRE(ldx >= window->channels, "%s: positions are %lld apart but have %lld channels", __func__, (long long)ldx,
            (long long)window->channels);
#if defined(__AVX512BF16__)
    float *factors = malloc((size_t)window->channels * sizeof(float));
    if (!factors) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for the factors", __func__);
    norm_input n = norm_input_of(norm, window->channels, factors);
    int64_t lines = window->batch * window->out[0] * window->out[1];
    PARALLEL(lines * window->in[2] * window->channels, lines, 1, {
        for (int64_t i = from; i < to; i++) {
            if (n.relu) average_line(window, x, ldx, &n, 1, y, line_of(window, i));
            else average_line(window, x, ldx, &n, 0, y, line_of(window, i));
        }
    });
    free(factors);
#else
    (void)x, (void)y;
#endif
    return IST_OK;
}

int KERNEL(norm_avg_pool_backward)(const ist_window *window, const void *dy, void *dx, int64_t lddx,
                                   const ist_norm_gradient *g) {
    int status = norm_pool_check(__func__, window, &g->norm);
    if (status) return status;
    REQUIRE(min64(lddx, min64(g->ldx, g->add ? g->ldadd : lddx)) >= window->channels,
            "%s: positions are %lld, %lld and %lld apart but have %lld channels", __func__, (long long)lddx,
            (long long)g->ldx, (long long)g->ldadd, (long long)window->channels);
#if defined(__AVX512BF16__)
    int threads = omp_get_max_threads();
    int64_t c = window->channels;
    double *room = malloc((size_t)(3 * c * threads) * sizeof(double) + (size_t)c * sizeof(float));
    if (!room) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for the sums", __func__);
    int64_t size = 2 * window->batch * volume(window->in) * c;
    int stream = size >= STREAM_BYTES && (uintptr_t)dx % 64 == 0 && lddx % BLOCK == 0 && g->add != dx;
    back all = {g, norm_input_of(&g->norm, c, (float *)(room + 3 * c * threads)), dy, dx, lddx, stream, NULL, NULL};
    gradient(window, all, room, threads);
    free(room);
#else
    (void)dy, (void)dx;
#endif
    return IST_OK;
}
