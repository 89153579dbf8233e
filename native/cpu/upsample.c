/* Upsampling: along each axis the result is a sparse matrix times the input. One loop gathers forward, with the rows of the
 * three matrices, and backward, with their columns: no two threads write one place, and every sum has a fixed order. */
#include "window.h"

typedef struct tap {
    int64_t at;
    float weight;
} tap;

/* Row o of an axis' matrix: taps [first[o], first[o + 1]). */
typedef struct axis {
    int64_t *first;
    tap *taps;
} axis;

/* From a tensor of shape `from` to one of shape `to`, by the matrices of the three axes. */
typedef struct gather {
    int64_t from[3], to[3], c;
    axis axes[3];
} gather;

/* The rows of one axis: the nearest input position, or the two that half-pixel centres lie between. */
static void forward_axis(axis a, int64_t in, int64_t out, int linear) {
    int64_t n = 0;
    for (int64_t o = 0; o < out; o++) {
        a.first[o] = n;
        double s = linear ? ((double)o + 0.5) * (double)in / (double)out - 0.5 : 0;
        int64_t at = linear ? (s > 0 ? (int64_t)s : 0) : o * in / out;
        float rest = s > 0 ? (float)(s - (double)at) : 0;
        int two = rest > 0 && at + 1 < in;
        a.taps[n++] = (tap){at, two ? 1 - rest : 1};
        if (two) a.taps[n++] = (tap){at + 1, rest};
    }
    a.first[out] = n;
}

/* The columns of a matrix, each in the order of its rows. */
static void transpose_axis(axis rows, int64_t in, int64_t out, axis columns) {
    for (int64_t i = 0; i <= in; i++) columns.first[i] = 0;
    for (int64_t t = 0; t < rows.first[out]; t++) columns.first[rows.taps[t].at + 1]++;
    for (int64_t i = 0; i < in; i++) columns.first[i + 1] += columns.first[i];
    for (int64_t o = 0; o < out; o++)
        for (int64_t t = rows.first[o]; t < rows.first[o + 1]; t++)
            columns.taps[columns.first[rows.taps[t].at]++] = (tap){o, rows.taps[t].weight};
    for (int64_t i = in; i > 0; i--) columns.first[i] = columns.first[i - 1];
    columns.first[0] = 0;
}

/* t (+)= the weighted sum of k <= 4 rows of n elements. */
INLINE void blend(int dt, float *restrict t, const void *const *x, const float *w, int k, int add, int64_t n) {
    const void *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
    if (k == 1) SIMD for (int64_t j = 0; j < n; j++) t[j] = (add ? t[j] : 0) + w0 * load(dt, x0, j);
    else if (k == 2)
        SIMD for (int64_t j = 0; j < n; j++) t[j] = (add ? t[j] : 0) + (w0 * load(dt, x0, j) + w1 * load(dt, x1, j));
    else if (k == 4)
        SIMD for (int64_t j = 0; j < n; j++)
            t[j] = (add ? t[j] : 0) + ((w0 * load(dt, x0, j) + w1 * load(dt, x1, j)) +
                                       (w2 * load(dt, x2, j) + w3 * load(dt, x3, j)));
    else
        SIMD for (int64_t j = 0; j < n; j++)
            t[j] = (add ? t[j] : 0) + (w0 * load(dt, x0, j) + w1 * load(dt, x1, j) + w2 * load(dt, x2, j));
}

/* One row along the width, still of the input's length: depth and height are summed over. */
INLINE void line(int dt, const gather *g, const void *x, float *t, int64_t d, int64_t h) {
    const axis *ds = &g->axes[0], *hs = &g->axes[1];
    int64_t n = g->from[2] * g->c, done = 0;
    const void *rows[4] = {x, x, x, x};
    float weights[4] = {0};
    int k = 0;
    for (int64_t i = ds->first[d]; i < ds->first[d + 1]; i++)
        for (int64_t j = hs->first[h]; j < hs->first[h + 1]; j++) {
            rows[k] = offset(dt, x, (ds->taps[i].at * g->from[1] + hs->taps[j].at) * n);
            weights[k++] = ds->taps[i].weight * hs->taps[j].weight;
            if (k < 4) continue;
            if (done) blend(dt, t, rows, weights, 4, 1, n);
            else blend(dt, t, rows, weights, 4, 0, n);
            done += k;
            k = 0;
        }
    if (k && done) blend(dt, t, rows, weights, k, 1, n);
    else if (k) blend(dt, t, rows, weights, k, 0, n);
}

/* One pixel of c channels out of a row: the sum over its taps along the width. */
INLINE void pixel(int dt, const tap *taps, int64_t k, const float *restrict t, int64_t c, void *restrict y) {
    const float *restrict t0 = t + taps[0].at * c, *restrict t1 = t + taps[k > 1].at * c;
    float w0 = taps[0].weight, w1 = taps[k > 1].weight, sum[CHANNELS];
    if (k == 1) SIMD for (int64_t j = 0; j < c; j++) store(dt, y, j, w0 * t0[j]);
    else if (k == 2) SIMD for (int64_t j = 0; j < c; j++) store(dt, y, j, w0 * t0[j] + w1 * t1[j]);
    else
        for (int64_t b = 0; b < c; b += CHANNELS) {
            int64_t n = min64(CHANNELS, c - b);
            SIMD for (int64_t j = 0; j < n; j++) sum[j] = w0 * t0[b + j] + w1 * t1[b + j];
            for (int64_t i = 2; i < k; i++) {
                const float *restrict ti = t + taps[i].at * c + b;
                float w = taps[i].weight;
                SIMD for (int64_t j = 0; j < n; j++) sum[j] += w * ti[j];
            }
            SIMD for (int64_t j = 0; j < n; j++) store(dt, y, b + j, sum[j]);
        }
}

INLINE void gather_range(int dt, const gather *g, const void *x, void *y, float *t, int64_t from, int64_t to) {
    const axis *ws = &g->axes[2];
    int64_t c = g->c, plane = g->to[0] * g->to[1];
    for (int64_t r = from; r < to; r++) {
        int64_t at = r % plane;
        line(dt, g, offset(dt, x, r / plane * volume(g->from) * c), t, at / g->to[1], at % g->to[1]);
        for (int64_t o = 0; o < g->to[2]; o++)
            pixel(dt, ws->taps + ws->first[o], ws->first[o + 1] - ws->first[o], t, c,
                  (void *)offset(dt, y, (r * g->to[2] + o) * c));
    }
}

static int upsample(const char *call, int dtype, const ist_window *w, int linear, int backward, const void *x, void *y) {
    const int64_t *in = w->in, *out = w->out;
    for (int d = 0; d < 3; d++)
        REQUIRE(in[d] > 0 && out[d] >= in[d], "%s: axis %d grows from %lld to %lld", call, d, (long long)in[d],
                (long long)out[d]);
    REQUIRE(w->batch >= 0 && w->channels > 0, "%s: batch %lld, channels %lld", call, (long long)w->batch,
            (long long)w->channels);
    gather g = {.c = w->channels};
    memcpy(g.from, backward ? out : in, sizeof g.from);
    memcpy(g.to, backward ? in : out, sizeof g.to);
    int64_t lengths = out[0] + out[1] + out[2] + 3, row = g.from[2] * g.c;
    tap *taps = malloc((size_t)lengths * 4 * sizeof(tap));
    int64_t *firsts = malloc((size_t)lengths * 2 * sizeof(int64_t));
    float *rows = malloc((size_t)(omp_get_max_threads() * row) * sizeof(float));
    if (taps && firsts && rows) {
        for (int64_t d = 0, at = 0; d < 3; at += out[d++] + 1) {
            axis rows_of = {firsts + at, taps + 2 * at}, columns_of = {firsts + lengths + at, taps + 2 * (lengths + at)};
            forward_axis(rows_of, in[d], out[d], linear);
            if (backward) transpose_axis(rows_of, in[d], out[d], columns_of);
            g.axes[d] = backward ? columns_of : rows_of;
        }
        int64_t all = w->batch * g.to[0] * g.to[1];
        PARALLEL(w->batch * volume(out) * g.c, all, 1,
                 TYPED(dtype, gather_range, &g, x, y, rows + omp_get_thread_num() * row, from, to));
    }
    int status = taps && firsts && rows ? IST_OK : ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for rows", call);
    free(taps);
    free(firsts);
    free(rows);
    return status;
}

int KERNEL(upsample)(int dtype, const ist_window *window, int linear, const void *x, void *y) {
    REQUIRE_DTYPE(dtype);
    return upsample(__func__, dtype, window, linear, 0, x, y);
}

int KERNEL(upsample_backward)(int dtype, const ist_window *window, int linear, const void *dy, void *dx) {
    REQUIRE_DTYPE(dtype);
    return upsample(__func__, dtype, window, linear, 1, dy, dx);
}
