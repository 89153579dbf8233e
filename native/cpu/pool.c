/* Maximum, average and global average pooling, forward and backward. A backward pass gathers, so threads never meet. */
#include "window.h"

INLINE void max_pixel(int dt, const ist_window *w, const void *x, int64_t y_at, void *y, uint8_t *position,
                      const int64_t o[3]) {
    int64_t c = w->channels;
    float best[CHANNELS];
    int32_t where[CHANNELS];
    for (int64_t b = 0; b < c; b += CHANNELS) {
        int64_t n = min64(CHANNELS, c - b);
        for (int64_t j = 0; j < n; j++) {
            best[j] = -INFINITY;
            where[j] = 0;
        }
        EACH_TAP(w, o, input_under, w->in, {
            const void *row = offset(dt, x, at * c + b);
            SIMD for (int64_t j = 0; j < n; j++) {
                float v = load(dt, row, j);
                int wins = (v > best[j]) | (v != v);
                best[j] = wins ? v : best[j];
                where[j] = wins ? (int32_t)tap : where[j];
            }
        })
        for (int64_t j = 0; j < n; j++) store(dt, y, y_at + b + j, best[j]);
        if (position)
            for (int64_t j = 0; j < n; j++) position[y_at + b + j] = (uint8_t)where[j];
    }
}

INLINE void max_range(int dt, const ist_window *w, const void *x, void *y, uint8_t *position, int64_t from,
                      int64_t to) {
    int64_t outs = volume(w->out), ins = volume(w->in), o[3];
    for (int64_t r = from; r < to; r++) {
        unravel(r % outs, w->out, o);
        max_pixel(dt, w, offset(dt, x, r / outs * ins * w->channels), r * w->channels, y, position, o);
    }
}

int KERNEL(max_pool)(int dtype, const ist_window *window, const void *x, void *y, uint8_t *position) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    REQUIRE(volume(window->kernel) <= 256, "%s: a window of %lld positions; the limit is 256", __func__,
            (long long)volume(window->kernel));
    int64_t rows = window->batch * volume(window->out);
    PARALLEL(rows * window->channels, rows, 1, TYPED(dtype, max_range, window, x, y, position, from, to));
    return IST_OK;
}

/* One input pixel: what its windows send back, with position only where it won, else all of it times factor. */
INLINE void gather_pixel(int dt, const ist_window *w, const void *dy, const uint8_t *position, float factor,
                         int64_t y_base, int64_t x_at, void *dx, const int64_t i[3]) {
    int64_t c = w->channels;
    float sum[CHANNELS];
    for (int64_t b = 0; b < c; b += CHANNELS) {
        int64_t n = min64(CHANNELS, c - b);
        for (int64_t j = 0; j < n; j++) sum[j] = 0;
        EACH_TAP(w, i, output_over, w->out, {
            const void *row = offset(dt, dy, (y_base + at) * c + b);
            const uint8_t *won = position ? position + (y_base + at) * c + b : NULL;
            if (won) SIMD for (int64_t j = 0; j < n; j++) sum[j] += won[j] == (uint8_t)tap ? load(dt, row, j) : 0;
            else SIMD for (int64_t j = 0; j < n; j++) sum[j] += load(dt, row, j);
        })
        for (int64_t j = 0; j < n; j++) store(dt, dx, x_at + b + j, sum[j] * factor);
    }
}

INLINE void gather_range(int dt, const ist_window *w, const void *dy, const uint8_t *position, float factor, void *dx,
                         int64_t from, int64_t to) {
    int64_t outs = volume(w->out), ins = volume(w->in), i[3];
    for (int64_t r = from; r < to; r++) {
        unravel(r % ins, w->in, i);
        gather_pixel(dt, w, dy, position, factor, r / ins * outs, r * w->channels, dx, i);
    }
}

int KERNEL(max_pool_backward)(int dtype, const ist_window *window, const void *dy, const uint8_t *position, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    REQUIRE(position, "%s: the positions are NULL", __func__);
    int64_t rows = window->batch * volume(window->in);
    PARALLEL(rows * window->channels, rows, 1, TYPED(dtype, gather_range, window, dy, position, 1.0f, dx, from, to));
    return IST_OK;
}

INLINE void avg_pixel(int dt, const ist_window *w, const void *x, int64_t y_at, void *y, const int64_t o[3]) {
    int64_t c = w->channels;
    float sum[CHANNELS], factor = 1.0f / (float)volume(w->kernel);
    for (int64_t b = 0; b < c; b += CHANNELS) {
        int64_t n = min64(CHANNELS, c - b);
        for (int64_t j = 0; j < n; j++) sum[j] = 0;
        EACH_TAP(w, o, input_under, w->in, {
            (void)tap;
            const void *row = offset(dt, x, at * c + b);
            SIMD for (int64_t j = 0; j < n; j++) sum[j] += load(dt, row, j);
        })
        for (int64_t j = 0; j < n; j++) store(dt, y, y_at + b + j, sum[j] * factor);
    }
}

INLINE void avg_range(int dt, const ist_window *w, const void *x, void *y, int64_t from, int64_t to) {
    int64_t outs = volume(w->out), ins = volume(w->in), o[3];
    for (int64_t r = from; r < to; r++) {
        unravel(r % outs, w->out, o);
        avg_pixel(dt, w, offset(dt, x, r / outs * ins * w->channels), r * w->channels, y, o);
    }
}

int KERNEL(avg_pool)(int dtype, const ist_window *window, const void *x, void *y) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    int64_t rows = window->batch * volume(window->out);
    PARALLEL(rows * window->channels, rows, 1, TYPED(dtype, avg_range, window, x, y, from, to));
    return IST_OK;
}

int KERNEL(avg_pool_backward)(int dtype, const ist_window *window, const void *dy, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    int64_t rows = window->batch * volume(window->in);
    float factor = 1.0f / (float)volume(window->kernel);
    PARALLEL(rows * window->channels, rows, 1, TYPED(dtype, gather_range, window, dy, NULL, factor, dx, from, to));
    return IST_OK;
}

INLINE void global_range(int dt, const void *x, void *y, int64_t s, int64_t c, int64_t from, int64_t to) {
    double sum[CHANNELS];
    for (int64_t n = from; n < to; n++) {
        for (int64_t b = 0; b < c; b += CHANNELS) {
            int64_t width = min64(CHANNELS, c - b);
            for (int64_t j = 0; j < width; j++) sum[j] = 0;
            for (int64_t i = 0; i < s; i++) {
                const void *row = offset(dt, x, (n * s + i) * c + b);
                SIMD for (int64_t j = 0; j < width; j++) sum[j] += load(dt, row, j);
            }
            for (int64_t j = 0; j < width; j++) store(dt, y, n * c + b + j, (float)(sum[j] / (double)s));
        }
    }
}

int KERNEL(global_avg_pool)(int dtype, const void *x, void *y, int64_t n, int64_t s, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(n >= 0 && s > 0 && c > 0, "%s: [%lld,%lld,%lld]", __func__, (long long)n, (long long)s, (long long)c);
    PARALLEL(n * s * c, n, 1, TYPED(dtype, global_range, x, y, s, c, from, to));
    return IST_OK;
}

INLINE void spread_range(int dt, const void *dy, void *dx, int64_t s, int64_t c, int64_t from, int64_t to) {
    float factor = 1.0f / (float)s;
    for (int64_t r = from; r < to; r++) {
        const void *row = offset(dt, dy, r / s * c);
        SIMD for (int64_t j = 0; j < c; j++) store(dt, dx, r * c + j, load(dt, row, j) * factor);
    }
}

int KERNEL(global_avg_pool_backward)(int dtype, const void *dy, void *dx, int64_t n, int64_t s, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(n >= 0 && s > 0 && c > 0, "%s: [%lld,%lld,%lld]", __func__, (long long)n, (long long)s, (long long)c);
    PARALLEL(n * s * c, n * s, 1, TYPED(dtype, spread_range, dy, dx, s, c, from, to));
    return IST_OK;
}
