/* Depthwise convolution by its weights. */
#include "depthwise.h"

/* Adds to sum[k] what TILE results d give tap k. */
INLINE void product_taps(int dt, int found, int vecs, int taps, int step, const columns *x, const vec d[TILE][VECS],
                         vec sum[5][VECS]) {
#pragma GCC unroll 16
    for (int j = 0; j < COLUMNS(taps, step); j++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            vec at = take(dt, column(dt, found, x, j), v * LANES);
#pragma GCC unroll 5
            for (int k = 0; k < taps; k++)
                if (j >= k && (j - k) % step == 0 && (j - k) / step < TILE) sum[k][v] += at * d[(j - k) / step][v];
        }
}

INLINE void product_tile(int dt, int found, int vecs, int taps, int64_t step, const void *x, int64_t width, int64_t at,
                         const void *dy, int64_t count, int64_t o, int64_t c, int64_t b, vec sum[5][VECS]) {
    columns source, results;
    vec d[TILE][VECS];
    find(dt, found, &results, dy, count, c, o, 1, TILE, b);
    for (int t = 0; t < TILE; t++)
        for (int v = 0; v < vecs; v++) d[t][v] = take(dt, column(dt, found, &results, t), v * LANES);
    if (taps == 1) {
        find(dt, found, &source, x, width, c, at, step, TILE, b);
        for (int t = 0; t < TILE; t++)
            for (int v = 0; v < vecs; v++) sum[0][v] += take(dt, column(dt, found, &source, t), v * LANES) * d[t][v];
    } else {
        find(dt, found, &source, x, width, c, at, 1, COLUMNS(taps, step), b);
        product_taps(dt, found, vecs, taps, (int)step, &source, d, sum);
    }
}

/* One line of x times one of dy. */
INLINE void product_line(int dt, int vecs, int taps, int64_t step, const void *x, int64_t width, int64_t pad,
                         const void *dy, int64_t count, int64_t c, int64_t b, vec sum[5][VECS]) {
    for (int64_t o = 0; o < count; o += TILE) {
        int64_t at = o * step - pad;
        if (vecs == VECS && at >= 0 && at + (TILE - 1) * step + taps <= width && o + TILE <= count)
            product_tile(dt, 0, vecs, taps, step, x, width, at, dy, count, o, c, b, sum);
        else
            product_tile(dt, 1, vecs, taps, step, x, width, at, dy, count, o, c, b, sum);
    }
}

/* Lines of one sample's results whose products are summed in float32 before the float64 totals take them. */
typedef struct stretch {
    int64_t sample, first, last;
} stretch;

/* Taps [tap, tap + taps) for whole vectors of channels from b on; lanes before `fresh` are another block's. */
INLINE void product_block(int dt, int vecs, int taps, int64_t step, const ist_window *w, const void *x, const void *dy,
                          stretch l, int64_t tap, int64_t b, int64_t fresh, double *total) {
    int64_t k[3], c = w->channels, width = w->in[2], count = w->out[2];
    unravel(tap, w->kernel, k);
    vec sum[5][VECS] = {0};
    for (int64_t line = l.first; line < l.last; line++) {
        int64_t p0 = input_under(w, 0, line / w->out[1], k[0]), p1 = input_under(w, 1, line % w->out[1], k[1]);
        if (p0 < 0 || p1 < 0) continue;
        const void *xl = offset(dt, x, ((l.sample * w->in[0] + p0) * w->in[1] + p1) * width * c);
        const void *dl = offset(dt, dy, (l.sample * w->out[0] * w->out[1] + line) * count * c);
        product_line(dt, vecs, taps, step, xl, width, w->padding[2] - k[2] * w->dilation[2], dl, count, c, b, sum);
    }
    for (int i = 0; i < taps; i++)
        for (int v = 0; v < vecs; v++) {
            float part[LANES];
            double *to = total + (tap + i) * c + b + v * LANES;
            put(IST_F32, part, 0, sum[i][v]);
            SIMD for (int64_t j = fresh; j < LANES; j++) to[j] += part[j];
        }
}

/* Fewer channels than a vector has lanes. */
INLINE void product_few(int dt, const ist_window *w, const void *x, const void *dy, stretch l, double *total) {
    int64_t c = w->channels, o[3] = {0, 0, 0};
    for (int64_t at_y = l.first * w->out[2]; at_y < l.last * w->out[2]; at_y++) {
        unravel(at_y, w->out, o);
        EACH_TAP(w, o, input_under, w->in, {
            for (int64_t j = 0; j < c; j++)
                total[tap * c + j] += load(dt, x, (l.sample * volume(w->in) + at) * c + j) *
                                      load(dt, dy, (l.sample * volume(w->out) + at_y) * c + j);
        })
    }
}

INLINE void product_lines(int dt, int taps, int64_t step, const ist_window *w, const void *x, const void *dy, stretch l,
                          double *total) {
    int64_t b = 0, c = w->channels, whole = VECS * LANES, all = volume(w->kernel);
    if (c < LANES) {
        product_few(dt, w, x, dy, l, total);
        return;
    }
    for (; b + whole <= c; b += whole)
        for (int64_t tap = 0; tap < all; tap += taps)
            product_block(dt, VECS, taps, step, w, x, dy, l, tap, b, 0, total);
    for (; b < c; b += LANES) {
        int64_t back = b - min64(b, c - LANES);
        for (int64_t tap = 0; tap < all; tap += taps)
            product_block(dt, 1, taps, step, w, x, dy, l, tap, b - back, back, total);
    }
}

/* About so many results are summed in float32. */
#define SUMMED 64

static int64_t stretches(const ist_window *w, int64_t *lines) {
    *lines = (SUMMED + w->out[2] - 1) / w->out[2];
    return (w->out[0] * w->out[1] + *lines - 1) / *lines;
}

static void products_range(int dt, const ist_window *w, const void *x, const void *dy, double *total, int64_t from,
                           int64_t to) {
    int64_t lines, each = stretches(w, &lines);
    int64_t taps = is_shaped(w->kernel[2], w->stride[2], w->dilation[2]) ? w->kernel[2] : 1;
    for (int64_t i = from; i < to; i++) {
        int64_t first = i % each * lines;
        stretch l = {i / each, first, min64(first + lines, w->out[0] * w->out[1])};
        if (dt == IST_BF16) SHAPED(taps, w->stride[2], product_lines, IST_BF16, w, x, dy, l, total);
        else SHAPED(taps, w->stride[2], product_lines, IST_F32, w, x, dy, l, total);
    }
}

int KERNEL(depthwise_backward_weights)(int dtype, const ist_window *window, const void *x, const void *dy, float *dw) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_DEPTHWISE(window);
    int64_t c = window->channels, taps = volume(window->kernel), lines;
    int64_t items = window->batch * stretches(window, &lines);
    int threads = omp_get_max_threads();
    int64_t each = room_bytes(taps * c * (int64_t)sizeof(double));
    char *rooms = malloc((size_t)(threads * each));
    if (!rooms) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld weights", __func__, (long long)(taps * c));
    char *totals = rooms + APART;
    for (int t = 0; t < threads; t++) memset(totals + t * each, 0, (size_t)(taps * c) * sizeof(double));
    PARALLEL(items * SUMMED * c * taps, items, 1,
             products_range(dtype, window, x, dy, (double *)room_in(rooms, each), from, to));
    for (int64_t j = 0; j < c; j++)
        for (int64_t k = 0; k < taps; k++) {
            double all = 0;
            for (int t = 0; t < threads; t++) all += ((const double *)(totals + t * each))[k * c + j];
            dw[j * taps + k] = (float)all;
        }
    free(rooms);
    return IST_OK;
}
