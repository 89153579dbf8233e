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

/* ---- Windows that tile the input, the usual 2x2 and 2x2x2: every input pixel has one window, lines run straight. ---- */

INLINE int tiles(const ist_window *w, int64_t taps) {
    for (int d = 0; d < 3; d++)
        if (w->stride[d] != w->kernel[d] || w->padding[d] || w->dilation[d] != 1 || w->out[d] * w->kernel[d] != w->in[d])
            return 0;
    return volume(w->kernel) == taps && w->kernel[2] == 2;
}

/* Where the pixels of the first window of an output line lie: taps in order. */
INLINE void tile_line(const ist_window *w, int64_t line, int64_t taps, int64_t at[8]) {
    int64_t o1 = line % w->out[1], o0 = line / w->out[1] % w->out[0], n = line / w->out[1] / w->out[0];
    for (int64_t t = 0; t < taps; t++) {
        int64_t k0 = t / 2 / w->kernel[1], k1 = t / 2 % w->kernel[1];
        at[t] = ((n * w->in[0] + o0 * w->kernel[0] + k0) * w->in[1] + o1 * w->kernel[1] + k1) * w->in[2] + t % 2;
    }
}

/* A number is moved, not computed with: its bits as float32 has them, no rounding on the way back. */
INLINE uint32_t load_bits(int dt, const void *p, int64_t i) {
    return dt == IST_BF16 ? (uint32_t)((const uint16_t *)p)[i] << 16 : ((const uint32_t *)p)[i];
}

INLINE void store_bits(int dt, void *p, int64_t i, uint32_t bits) {
    if (dt == IST_BF16) ((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
    else ((uint32_t *)p)[i] = bits;
}

/* One block of channels of one window; x is at its first pixel, the others `at` elements further. The winners' numbers
 * are narrowed by themselves: vectors of bytes would want more channels than there are. */
INLINE void max_tile(int dt, int64_t taps, const void *x, const int64_t *at, void *y, uint8_t *position, int64_t n) {
    uint32_t where[CHANNELS];
    SIMD for (int64_t j = 0; j < n; j++) {
        uint32_t best = load_bits(dt, x, j), won = 0;
        for (int64_t t = 1; t < taps; t++) {
            uint32_t bits = load_bits(dt, x, at[t] + j);
            float v, most;
            memcpy(&v, &bits, 4);
            memcpy(&most, &best, 4);
            int wins = (v > most) | (v != v);
            best = wins ? bits : best;
            won = wins ? (uint32_t)t : won;
        }
        store_bits(dt, y, j, best);
        where[j] = won;
    }
    if (position) SIMD for (int64_t j = 0; j < n; j++) position[j] = (uint8_t)where[j];
}

INLINE void max_tiles(int dt, int64_t taps, const ist_window *w, const void *x, void *y, uint8_t *position,
                      int64_t from, int64_t to) {
    int64_t c = w->channels, at[8], step[8];
    for (int64_t line = from; line < to; line++) {
        tile_line(w, line, taps, at);
        for (int64_t t = 0; t < taps; t++) step[t] = (at[t] - at[0]) * c;
        for (int64_t o = 0; o < w->out[2]; o++) {
            for (int64_t b = 0; b < c; b += CHANNELS) {
                int64_t out = (line * w->out[2] + o) * c + b;
                max_tile(dt, taps, offset(dt, x, (at[0] + 2 * o) * c + b), step, (char *)y + out * (dt == IST_BF16 ? 2 : 4),
                         position ? position + out : NULL, min64(CHANNELS, c - b));
            }
        }
    }
}

INLINE void spread_tiles(int dt, int64_t taps, const ist_window *w, const void *dy, const uint8_t *position, void *dx,
                         int64_t from, int64_t to) {
    int64_t c = w->channels, at[8];
    for (int64_t line = from; line < to; line++) {
        tile_line(w, line, taps, at);
        for (int64_t o = 0; o < w->out[2]; o++) {
            int64_t out = (line * w->out[2] + o) * c;
            for (int64_t t = 0; t < taps; t++) {
                SIMD for (int64_t j = 0; j < c; j++) {
                    uint32_t bits = load_bits(dt, dy, out + j);
                    store_bits(dt, dx, (at[t] + 2 * o) * c + j, position[out + j] == (uint8_t)t ? bits : 0);
                }
            }
        }
    }
}

/* Runs a tile kernel for 2x2 or 2x2x2 windows, if these are such, and ends the function. */
#define TRY_TILES(w, dtype, f, ...) \
    do { \
        int64_t lines = (w)->batch * (w)->out[0] * (w)->out[1], work = lines * (w)->out[2] * (w)->channels; \
        if (tiles(w, 4)) { \
            PARALLEL(work, lines, 1, TYPED(dtype, f, 4, w, __VA_ARGS__, from, to)); \
            return IST_OK; \
        } \
        if (tiles(w, 8)) { \
            PARALLEL(work, lines, 1, TYPED(dtype, f, 8, w, __VA_ARGS__, from, to)); \
            return IST_OK; \
        } \
    } while (0)

int KERNEL(max_pool)(int dtype, const ist_window *window, const void *x, void *y, uint8_t *position) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    REQUIRE(volume(window->kernel) <= 256, "%s: a window of %lld positions; the limit is 256", __func__,
            (long long)volume(window->kernel));
    TRY_TILES(window, dtype, max_tiles, x, y, position);
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
    TRY_TILES(window, dtype, spread_tiles, dy, position, dx);
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

INLINE void mean_tiles(int dt, int64_t taps, const ist_window *w, const void *x, void *y, int64_t from, int64_t to) {
    int64_t c = w->channels, at[8];
    for (int64_t line = from; line < to; line++) {
        tile_line(w, line, taps, at);
        for (int64_t o = 0; o < w->out[2]; o++) {
            int64_t out = (line * w->out[2] + o) * c;
            SIMD for (int64_t j = 0; j < c; j++) {
                float sum = 0;
                for (int64_t t = 0; t < taps; t++) sum += load(dt, x, (at[t] + 2 * o) * c + j);
                store(dt, y, out + j, sum / (float)taps);
            }
        }
    }
}

INLINE void share_tiles(int dt, int64_t taps, const ist_window *w, const void *dy, void *dx, int64_t from, int64_t to) {
    int64_t c = w->channels, at[8];
    for (int64_t line = from; line < to; line++) {
        tile_line(w, line, taps, at);
        for (int64_t o = 0; o < w->out[2]; o++) {
            int64_t out = (line * w->out[2] + o) * c;
            for (int64_t t = 0; t < taps; t++)
                SIMD for (int64_t j = 0; j < c; j++)
                    store(dt, dx, (at[t] + 2 * o) * c + j, load(dt, dy, out + j) / (float)taps);
        }
    }
}

int KERNEL(avg_pool)(int dtype, const ist_window *window, const void *x, void *y) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    TRY_TILES(window, dtype, mean_tiles, x, y);
    int64_t rows = window->batch * volume(window->out);
    PARALLEL(rows * window->channels, rows, 1, TYPED(dtype, avg_range, window, x, y, from, to));
    return IST_OK;
}

int KERNEL(avg_pool_backward)(int dtype, const ist_window *window, const void *dy, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    TRY_TILES(window, dtype, share_tiles, dy, dx);
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
