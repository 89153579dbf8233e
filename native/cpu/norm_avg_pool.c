/*
 * Averages of 2x2 positions of a normalised value that is nowhere in memory, and their gradient back through the norm: one pass
 * over what is large each, in bf16.
 */
#include "norm_pool.h"

static int norm_avg_pool_check(const char *call, const ist_window *w, const ist_norm *norm) {
    int status = norm_pool_channels(call, w, norm);
    if (status) return status;
    for (int d = 0; d < 3; d++) {
        int64_t edge = d == 0 ? 1 : 2;
        if (w->kernel[d] != edge || w->stride[d] != edge || w->padding[d] || w->in[d] != edge * w->out[d])
            return ist_fail(IST_INVALID_ARGUMENT, "%s: axis %d: kernel %lld, stride %lld, padding %lld, %lld to %lld; this "
                            "is for whole windows of 2 x 2 without padding", call, d, (long long)w->kernel[d],
                            (long long)w->stride[d], (long long)w->padding[d], (long long)w->in[d], (long long)w->out[d]);
    }
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

/* dx of 16 channels from the j-th on, of the four positions under one result; adds to their sums. */
INLINE void gradient_lanes(const back *b, int relu, int adds, const int64_t *at, const uint16_t *dy, int64_t j, lanes *dx) {
    norm_lanes k = norm_lanes_at(&b->norm, j);
    lanes d = widen(dy + j) / (float)TAPS, sum = lanes_at(b->sum + j), product = lanes_at(b->product + j);
    UNROLL for (int t = 0; t < TAPS; t++) dx[t] = back_lanes(b, relu, adds, k, at[t], d, j, &sum, &product);
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
            UNROLL for (int t = 0; t < TAPS; t++) put_block(b, at[t], j, low[t], high[t]);
        }
    }
}

static void gradient_as(const ist_window *w, const back *b, int64_t line) {
    if (b->norm.relu && b->g->add) gradient_line(w, b, 1, 1, line_of(w, line));
    else if (b->norm.relu) gradient_line(w, b, 1, 0, line_of(w, line));
    else gradient_line(w, b, 0, b->g->add != NULL, line_of(w, line));
}
#endif

int KERNEL(norm_avg_pool)(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, void *y) {
    int status = norm_avg_pool_check(__func__, window, norm);
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
    int status = norm_avg_pool_check(__func__, window, &g->norm);
    if (!status) status = norm_pool_rows(__func__, window, lddx, g);
    if (status) return status;
#if defined(__AVX512BF16__)
    return norm_pool_backward(__func__, window, g, dy, NULL, dx, lddx, window->batch * window->out[0] * window->out[1],
                              gradient_as);
#else
    (void)dy, (void)dx;
    return IST_OK;
#endif
}
