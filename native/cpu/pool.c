/* Maximum, average and global average pooling, forward and backward. A backward pass gathers, so threads never meet. */
#include "lanes.h"
#include "window.h"

/* Channels are walked in strips of so many vectors, whose sums or maxima stay in registers; what is left, by single vectors. */
#define STRIP 4
#define EACH_VEC(v, vecs) _Pragma("GCC unroll 4") for (int v = 0; v < vecs; v++)

/* Calls f with the element type, the vectors, and how many elements of each are there, for the channels from b on. */
#define EACH_STRIP(dt, c, b, f, ...) \
    for (int64_t b = 0, n_ = 0; b < (c); b += n_) { \
        n_ = (c) - b >= STRIP * LANES ? STRIP * LANES : min64(LANES, (c) - b); \
        if (n_ == STRIP * LANES) f(dt, STRIP, LANES, __VA_ARGS__); \
        else f(dt, 1, n_, __VA_ARGS__); \
    }

/* n elements. */
INLINE vec take_some(int dt, const void *p, int64_t i, int64_t n) {
    if (n == LANES) return take(dt, p, i);
    vec v = {0};
    for (int64_t j = 0; j < n; j++) v[j] = load(dt, p, i + j);
    return v;
}

INLINE void put_some(int dt, void *p, int64_t i, int64_t n, vec v) {
    if (n == LANES) put(dt, p, i, v);
    else
        for (int64_t j = 0; j < n; j++) store(dt, p, i + j, v[j]);
}

INLINE bits take_bytes(const uint8_t *p, int64_t n) {
    uint8_t some[LANES] = {0};
    if (n < LANES) memcpy(some, p, (size_t)n);
    return of_bytes(n < LANES ? some : p);
}

INLINE void put_bytes(uint8_t *p, int64_t n, bits v) {
    bytes b = to_bytes(v);
    if (n == LANES) memcpy(p, &b, LANES);
    else memcpy(p, &b, (size_t)n);
}

INLINE bits choose(bits if_set, bits yes, bits no) { return (if_set & yes) | (~if_set & no); }

INLINE void max_strip(int dt, int vecs, int64_t n, const ist_window *w, const void *x, void *y, uint8_t *position,
                      const int64_t o[3]) {
    vec best[STRIP];
    bits won[STRIP];
    EACH_VEC(v, vecs) {
        best[v] = (vec){0} - INFINITY;
        won[v] = (bits){0};
    }
    EACH_TAP(w, o, input_under, w->in, {
        EACH_VEC(v, vecs) {
            vec z = take_some(dt, x, at * w->channels + v * LANES, n);
            bits wins = (bits)(z > best[v]) | (bits)(z != z);
            best[v] = (vec)choose(wins, (bits)z, (bits)best[v]);
            won[v] = choose(wins, (bits){0} + (uint32_t)tap, won[v]);
        }
    })
    EACH_VEC(v, vecs) {
        put_some(dt, y, v * LANES, n, best[v]);
        if (position) put_bytes(position + v * LANES, n, won[v]);
    }
}

/* Fetches what the next line's window at o has and this line's does not: the processor foresees one line of a plane, not all
 * that lie under a window. */
INLINE void foresee_below(int dt, const ist_window *w, const void *plane, const int64_t o[3]) {
    int64_t depth = o[0] * w->stride[0] - w->padding[0], left = o[2] * w->stride[2], width = w->stride[2];
    int64_t row = o[1] * w->stride[1] - w->padding[1] + w->dilation[1] * (w->kernel[1] - 1) + 1;
    if (depth < 0 || depth >= w->in[0] || left + width > w->in[2]) return;
    for (int64_t i = row; i < min64(row + w->stride[1], w->in[1]); i++) {
        const char *at = offset(dt, plane, ((depth * w->in[1] + i) * w->in[2] + left) * w->channels);
        const char *end = offset(dt, at, width * w->channels);
        for (; at < end; at += 64) __builtin_prefetch(at);
    }
}

/* Lines of outputs. */
INLINE void max_range(int dt, const ist_window *w, const void *x, void *y, uint8_t *position, int64_t from,
                      int64_t to) {
    int64_t lines = w->out[0] * w->out[1], c = w->channels;
    for (int64_t line = from; line < to; line++) {
        int64_t o[3] = {line % lines / w->out[1], line % w->out[1], 0}, r = line * w->out[2];
        const void *plane = offset(dt, x, line / lines * volume(w->in) * c);
        for (; o[2] < w->out[2]; o[2]++, r++) {
            foresee_below(dt, w, plane, o);
            EACH_STRIP(dt, c, b, max_strip, w, offset(dt, plane, b), (void *)offset(dt, y, r * c + b),
                       position ? position + r * c + b : NULL, o)
        }
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
    int64_t lines = window->batch * window->out[0] * window->out[1];
    PARALLEL(lines * window->out[2] * window->channels, lines, 1,
             TYPED(dtype, max_range, window, x, y, position, from, to));
    return IST_OK;
}

/* A tap of a window that lies over an input position, along one axis, and the window's output position; how far on the next
 * such tap is, and how far back its output. */
typedef struct hit {
    int64_t tap, out, each, back;
} hit;

INLINE hit next_hit(hit h) { return (hit){h.tap + h.each, h.out - h.back, h.each, h.back}; }

INLINE int is_hit(const ist_window *w, int axis, hit h) { return h.tap < w->kernel[axis] && h.out >= 0; }

/* With taps that are apart, those that are no hits are asked one by one. */
INLINE hit first_hit(const ist_window *w, int axis, int64_t i) {
    int64_t stride = w->stride[axis], dilation = w->dilation[axis], p = i + w->padding[axis];
    hit h = {0, p, stride, 1};
    if (stride > 1) h = (hit){p % stride, p / stride, stride, 1};
    if (dilation > 1) {
        int64_t taps[2] = {-1, -1};
        for (int64_t k = 0; k < w->kernel[axis] && taps[1] < 0; k++)
            if ((p - k * dilation) % stride == 0) taps[taps[0] >= 0] = k;
        int64_t each = taps[1] < 0 ? w->kernel[axis] : taps[1] - taps[0], rest = p - taps[0] * dilation;
        h = (hit){taps[0], taps[0] < 0 || rest < 0 ? -1 : rest / stride, each, each * dilation / stride};
    }
    while (h.out >= w->out[axis] && h.tap < w->kernel[axis]) h = next_hit(h);
    return h;
}

/* One input pixel: what its windows send back, with position only where it won, else all of it times factor. */
INLINE void gather_strip(int dt, int vecs, int64_t n, const ist_window *w, const void *dy, const uint8_t *position,
                         float factor, void *dx, const hit first[3]) {
    vec sum[STRIP];
    EACH_VEC(v, vecs) sum[v] = (vec){0};
    for (hit a = first[0]; is_hit(w, 0, a); a = next_hit(a))
        for (hit b = first[1]; is_hit(w, 1, b); b = next_hit(b))
            for (hit d = first[2]; is_hit(w, 2, d); d = next_hit(d)) {
                uint32_t tap = (uint32_t)((a.tap * w->kernel[1] + b.tap) * w->kernel[2] + d.tap);
                int64_t at = ((a.out * w->out[1] + b.out) * w->out[2] + d.out) * w->channels;
                EACH_VEC(v, vecs) {
                    vec z = take_some(dt, dy, at + v * LANES, n);
                    if (position) z = (vec)((bits)z & (bits)(take_bytes(position + at + v * LANES, n) == tap));
                    sum[v] += z;
                }
            }
    EACH_VEC(v, vecs) put_some(dt, dx, v * LANES, n, sum[v] * factor);
}

/* Lines of inputs. */
INLINE void gather_range(int dt, const ist_window *w, const void *dy, const uint8_t *position, float factor, void *dx,
                         int64_t from, int64_t to) {
    int64_t lines = w->in[0] * w->in[1], c = w->channels;
    for (int64_t line = from; line < to; line++) {
        hit first[3] = {first_hit(w, 0, line % lines / w->in[1]), first_hit(w, 1, line % w->in[1])};
        int64_t base = line / lines * volume(w->out) * c;
        for (int64_t i = 0; i < w->in[2]; i++) {
            first[2] = first_hit(w, 2, i);
            EACH_STRIP(dt, c, b, gather_strip, w, offset(dt, dy, base + b), position ? position + base + b : NULL,
                       factor, (void *)offset(dt, dx, (line * w->in[2] + i) * c + b), first)
        }
    }
}

int KERNEL(max_pool_backward)(int dtype, const ist_window *window, const void *dy, const uint8_t *position, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    REQUIRE(position, "%s: the positions are NULL", __func__);
    TRY_TILES(window, dtype, spread_tiles, dy, position, dx);
    int64_t lines = window->batch * window->in[0] * window->in[1];
    PARALLEL(lines * window->in[2] * window->channels, lines, 1,
             TYPED(dtype, gather_range, window, dy, position, 1.0f, dx, from, to));
    return IST_OK;
}

INLINE void avg_strip(int dt, int vecs, int64_t n, const ist_window *w, const void *x, void *y, const int64_t o[3]) {
    vec sum[STRIP];
    float factor = 1.0f / (float)volume(w->kernel);
    EACH_VEC(v, vecs) sum[v] = (vec){0};
    EACH_TAP(w, o, input_under, w->in, {
        (void)tap;
        EACH_VEC(v, vecs) sum[v] += take_some(dt, x, at * w->channels + v * LANES, n);
    })
    EACH_VEC(v, vecs) put_some(dt, y, v * LANES, n, sum[v] * factor);
}

INLINE void avg_range(int dt, const ist_window *w, const void *x, void *y, int64_t from, int64_t to) {
    int64_t lines = w->out[0] * w->out[1], c = w->channels;
    for (int64_t line = from; line < to; line++) {
        int64_t o[3] = {line % lines / w->out[1], line % w->out[1], 0}, r = line * w->out[2];
        const void *plane = offset(dt, x, line / lines * volume(w->in) * c);
        for (; o[2] < w->out[2]; o[2]++, r++) {
            foresee_below(dt, w, plane, o);
            EACH_STRIP(dt, c, b, avg_strip, w, offset(dt, plane, b), (void *)offset(dt, y, r * c + b), o)
        }
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
    int64_t lines = window->batch * window->out[0] * window->out[1];
    PARALLEL(lines * window->out[2] * window->channels, lines, 1, TYPED(dtype, avg_range, window, x, y, from, to));
    return IST_OK;
}

int KERNEL(avg_pool_backward)(int dtype, const ist_window *window, const void *dy, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_WINDOW(window);
    TRY_TILES(window, dtype, share_tiles, dy, dx);
    int64_t lines = window->batch * window->in[0] * window->in[1];
    float factor = 1.0f / (float)volume(window->kernel);
    PARALLEL(lines * window->in[2] * window->channels, lines, 1,
             TYPED(dtype, gather_range, window, dy, NULL, factor, dx, from, to));
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
