/*
 * Direct convolution: right for every shape, meant for those that have no faster way. Weights are first turned so that
 * the channels that are summed side by side lie side by side.
 */
#include "window.h"

typedef struct shape {
    int64_t groups, in, out, taps; /* in, out: channels of one group */
} shape;

static int conv_check(const char *call, const ist_window *w, shape *s) {
    int status = window_check(call, w);
    if (status) return status;
    if (w->groups < 1 || w->out_channels < 1 || w->channels % w->groups || w->out_channels % w->groups)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld channels to %lld do not part into %lld groups", call,
                        (long long)w->channels, (long long)w->out_channels, (long long)w->groups);
    *s = (shape){w->groups, w->channels / w->groups, w->out_channels / w->groups, volume(w->kernel)};
    return IST_OK;
}

#define REQUIRE_CONV(w, s) \
    do { \
        int status_ = conv_check(__func__, w, s); \
        if (status_) return status_; \
    } while (0)

/* turned [group, tap, i, o] = w [group o, i, tap] (by_output), or [group, tap, o, i]. */
static float *turn(const shape *s, const float *w, int by_output) {
    int64_t all = s->groups * s->taps * s->in * s->out;
    float *turned = malloc((size_t)all * sizeof(float));
    if (!turned) {
        ist_fail(IST_OUT_OF_MEMORY, "conv: no memory for %lld weights", (long long)all);
        return NULL;
    }
    for (int64_t at = 0; at < all; at++) {
        int64_t tap = at % s->taps, i = at / s->taps % s->in, o = at / s->taps / s->in % s->out;
        int64_t g = at / s->taps / s->in / s->out, start = (g * s->taps + tap) * s->in * s->out;
        turned[start + (by_output ? i * s->out + o : o * s->in + i)] = w[at];
    }
    return turned;
}

/* sum[j] += over i of row[i] w[i, j]: n_in values against a block of n_out columns of a matrix of `width` columns. */
INLINE void multiply(int dt, const void *row, int64_t n_in, const float *w, int64_t width, float *restrict sum,
                     int64_t n_out) {
    for (int64_t i = 0; i < n_in; i++) {
        float v = load(dt, row, i);
        const float *wi = w + i * width;
        SIMD for (int64_t j = 0; j < n_out; j++) sum[j] += v * wi[j];
    }
}

/* Depthwise, one channel in and out: the taps of all channels side by side. */
INLINE void depthwise(int dt, const void *row, const float *w, int64_t taps, float *restrict sum, int64_t n) {
    for (int64_t j = 0; j < n; j++) sum[j] += load(dt, row, j) * w[j * taps];
}

/* The result's channels that are summed together: a block of one group, or of all channels if depthwise. */
typedef struct block {
    int64_t group, first, n; /* first: in the group */
} block;

/*
 * A neighbour's part in a block: forward, that of the input under a tap; backward, that of the output over it. `turned`
 * is [group, tap, from_c, to_c].
 */
INLINE void add_tap(int dt, const shape *s, const void *row, int64_t from_c, int64_t to_c, const float *turned,
                    int64_t tap, block k, float *restrict sum) {
    if (s->in == 1 && s->out == 1)
        depthwise(dt, offset(dt, row, k.first), turned + k.first * s->taps + tap, s->taps, sum, k.n);
    else
        multiply(dt, offset(dt, row, k.group * from_c), from_c,
                 turned + (k.group * s->taps + tap) * from_c * to_c + k.first, to_c, sum, k.n);
}

INLINE void pixel(int dt, const ist_window *w, const shape *s, const void *base, int64_t from_c, int64_t to_c,
                  const float *turned, const float *bias, int backward, const int64_t pos[3], void *to, int64_t to_at) {
    int64_t whole = s->in == 1 && s->out == 1, span = whole ? s->groups * to_c : to_c, row_c = s->groups * from_c;
    for (int64_t g = 0; g < (whole ? 1 : s->groups); g++) {
        for (int64_t b = 0; b < span; b += CHANNELS) {
            block k = {g, b, min64(CHANNELS, span - b)};
            float sum[CHANNELS];
            for (int64_t j = 0; j < k.n; j++) sum[j] = bias ? bias[g * to_c + b + j] : 0;
            if (backward)
                EACH_TAP(w, pos, output_over, w->out,
                         add_tap(dt, s, offset(dt, base, at * row_c), from_c, to_c, turned, tap, k, sum);)
            else
                EACH_TAP(w, pos, input_under, w->in,
                         add_tap(dt, s, offset(dt, base, at * row_c), from_c, to_c, turned, tap, k, sum);)
            for (int64_t j = 0; j < k.n; j++) store(dt, to, to_at + g * to_c + b + j, sum[j]);
        }
    }
}

INLINE void forward_range(int dt, const ist_window *w, const shape *s, const void *x, const float *turned,
                          const float *bias, void *y, int64_t from, int64_t to) {
    int64_t outs = volume(w->out), ins = volume(w->in), o[3];
    for (int64_t r = from; r < to; r++) {
        unravel(r % outs, w->out, o);
        pixel(dt, w, s, offset(dt, x, r / outs * ins * w->channels), s->in, s->out, turned, bias, 0, o, y,
              r * w->out_channels);
    }
}

int KERNEL(conv)(int dtype, const ist_window *window, const void *x, const float *w, const float *bias, void *y) {
    shape s;
    REQUIRE_DTYPE(dtype);
    REQUIRE_CONV(window, &s);
    float *turned = turn(&s, w, 1);
    if (!turned) return IST_OUT_OF_MEMORY;
    int64_t rows = window->batch * volume(window->out);
    PARALLEL(rows * window->out_channels * s.taps * s.in, rows, 1,
             TYPED(dtype, forward_range, window, &s, x, turned, bias, y, from, to));
    free(turned);
    return IST_OK;
}

INLINE void backward_range(int dt, const ist_window *w, const shape *s, const void *dy, const float *turned, void *dx,
                           int64_t from, int64_t to) {
    int64_t outs = volume(w->out), ins = volume(w->in), i[3];
    for (int64_t r = from; r < to; r++) {
        unravel(r % ins, w->in, i);
        pixel(dt, w, s, offset(dt, dy, r / ins * outs * w->out_channels), s->out, s->in, turned, NULL, 1, i, dx,
              r * w->channels);
    }
}

int KERNEL(conv_backward_data)(int dtype, const ist_window *window, const void *dy, const float *w, void *dx) {
    shape s;
    REQUIRE_DTYPE(dtype);
    REQUIRE_CONV(window, &s);
    float *turned = turn(&s, w, 0);
    if (!turned) return IST_OUT_OF_MEMORY;
    int64_t rows = window->batch * volume(window->in);
    PARALLEL(rows * window->channels * s.taps * s.out, rows, 1,
             TYPED(dtype, backward_range, window, &s, dy, turned, dx, from, to));
    free(turned);
    return IST_OK;
}

/* dw of one input channel (g, i) and tap, against a block of the group's output channels; float64 over lines of y. */
INLINE void weights_block(int dt, const ist_window *w, const shape *s, const void *x, const void *dy, int64_t g,
                          int64_t i, int64_t tap, int64_t b, float *dw) {
    int64_t n = min64(CHANNELS, s->out - b), width = w->out[2], lines = w->out[0] * w->out[1], k[3];
    double total[CHANNELS] = {0};
    unravel(tap, w->kernel, k);
    for (int64_t line = 0; line < w->batch * lines; line++) {
        int64_t p0 = input_under(w, 0, line % lines / w->out[1], k[0]), p1 = input_under(w, 1, line % w->out[1], k[1]);
        if (p0 < 0 || p1 < 0) continue;
        int64_t x_line = ((line / lines * w->in[0] + p0) * w->in[1] + p1) * w->in[2];
        float sum[CHANNELS] = {0};
        for (int64_t column = 0; column < width; column++) {
            int64_t p2 = input_under(w, 2, column, k[2]);
            if (p2 < 0) continue;
            float v = load(dt, x, (x_line + p2) * w->channels + g * s->in + i);
            const void *row = offset(dt, dy, (line * width + column) * w->out_channels + g * s->out + b);
            SIMD for (int64_t j = 0; j < n; j++) sum[j] += v * load(dt, row, j);
        }
        for (int64_t j = 0; j < n; j++) total[j] += sum[j];
    }
    for (int64_t j = 0; j < n; j++) dw[((g * s->out + b + j) * s->in + i) * s->taps + tap] = (float)total[j];
}

INLINE void weights_range(int dt, const ist_window *w, const shape *s, const void *x, const void *dy, float *dw,
                          int64_t from, int64_t to) {
    for (int64_t at = from; at < to; at++) {
        int64_t tap = at % s->taps, i = at / s->taps % s->in, g = at / s->taps / s->in;
        for (int64_t b = 0; b < s->out; b += CHANNELS) weights_block(dt, w, s, x, dy, g, i, tap, b, dw);
    }
}

int KERNEL(conv_backward_weights)(int dtype, const ist_window *window, const void *x, const void *dy, float *dw) {
    shape s;
    REQUIRE_DTYPE(dtype);
    REQUIRE_CONV(window, &s);
    int64_t work = window->batch * volume(window->out) * s.taps * s.in * window->out_channels;
    PARALLEL(work, window->channels * s.taps, 1, TYPED(dtype, weights_range, window, &s, x, dy, dw, from, to));
    return IST_OK;
}
