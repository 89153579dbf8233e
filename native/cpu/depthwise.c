/* Depthwise convolution, forward and by its input. */
#include "depthwise.h"

/* Taps side by side over one line of the source: tap k of result t lies over column t step - pad + k. */
typedef struct tap_row {
    const void *line;
    const float *w; /* [taps, padded] */
    int64_t pad;
} tap_row;

/* Results along one line of the target, and the lines of the source that they are made of. */
typedef struct sweep {
    int64_t c, padded;         /* channels, and rounded up to whole vectors */
    int64_t taps;              /* of each row */
    int64_t step, width;       /* source columns a result, and a line */
    int64_t count;             /* results; the t-th is column first + t each of the target */
    int64_t first, each;
    int64_t rows, most, least; /* rows, and the bounds of their pads */
    tap_row row[MOST_TAPS];
} sweep;

/* Adds to TILE results what several taps side by side give. */
INLINE void sum_taps(int dt, int found, int vecs, int taps, int step, const columns *x, const float *w, int64_t padded,
                     vec sum[TILE][VECS]) {
    vec tap[5][VECS];
#pragma GCC unroll 5
    for (int k = 0; k < taps; k++)
        for (int v = 0; v < vecs; v++) tap[k][v] = take(IST_F32, w, k * padded + v * LANES);
#pragma GCC unroll 16
    for (int j = 0; j < COLUMNS(taps, step); j++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            vec at = take(dt, column(dt, found, x, j), v * LANES);
#pragma GCC unroll 5
            for (int k = 0; k < taps; k++)
                if (j >= k && (j - k) % step == 0 && (j - k) / step < TILE) sum[(j - k) / step][v] += at * tap[k][v];
        }
}

INLINE void sum_tap(int dt, int found, int vecs, const columns *x, const float *w, vec sum[TILE][VECS]) {
    for (int v = 0; v < vecs; v++) {
        vec tap = take(IST_F32, w, v * LANES);
        for (int t = 0; t < TILE; t++) sum[t][v] += take(dt, column(dt, found, x, t), v * LANES) * tap;
    }
}

/* Results [o, o + n) of a line, n up to TILE, whole vectors of channels from b on; found: some columns do not exist. */
INLINE void sum_tile(int dt, int found, int vecs, int taps, int64_t step, const sweep *s, int64_t o, int64_t n,
                     int64_t b, const float *bias, void *to) {
    vec sum[TILE][VECS];
    for (int t = 0; t < TILE; t++)
        for (int v = 0; v < vecs; v++) sum[t][v] = bias ? take(IST_F32, bias, b + v * LANES) : (vec){0};
    for (int64_t r = 0; r < s->rows; r++) {
        const tap_row *row = &s->row[r];
        columns x;
        if (taps == 1) {
            find(dt, found, &x, row->line, s->width, s->c, o * step - row->pad, step, TILE, b);
            sum_tap(dt, found, vecs, &x, row->w + b, sum);
        } else {
            find(dt, found, &x, row->line, s->width, s->c, o * step - row->pad, 1, COLUMNS(taps, step), b);
            sum_taps(dt, found, vecs, taps, (int)step, &x, row->w + b, s->padded, sum);
        }
    }
    for (int t = 0; t < n; t++)
        for (int v = 0; v < vecs; v++)
            put(dt, to, (s->first + (o + t) * s->each) * s->c + b + v * LANES, sum[t][v]);
}

/* One line of results for whole vectors of channels. */
INLINE void sum_block(int dt, int vecs, int taps, int64_t step, const sweep *s, int64_t b, const float *bias, void *to) {
    for (int64_t o = 0; o < s->count; o += TILE) {
        int64_t n = min64(TILE, s->count - o);
        int inside = n == TILE && o * step >= s->most && (o + TILE - 1) * step - s->least + taps <= s->width;
        if (vecs == VECS && inside) sum_tile(dt, 0, vecs, taps, step, s, o, TILE, b, bias, to);
        else sum_tile(dt, 1, vecs, taps, step, s, o, n, b, bias, to);
    }
}

/* Fewer channels than a vector has lanes. */
INLINE void sum_few(int dt, const sweep *s, const float *bias, void *to) {
    for (int64_t t = 0; t < s->count; t++)
        for (int64_t j = 0; j < s->c; j++) {
            float sum = bias ? bias[j] : 0;
            for (int64_t r = 0; r < s->rows; r++)
                for (int64_t k = 0; k < s->taps; k++) {
                    int64_t p = t * s->step - s->row[r].pad + k;
                    if (p >= 0 && p < s->width) sum += load(dt, s->row[r].line, p * s->c + j) * s->row[r].w[k * s->padded + j];
                }
            store(dt, to, (s->first + t * s->each) * s->c + j, sum);
        }
}

/* Blocks of channels; the last is moved back over the one before it rather than cut. */
INLINE void sum_line(int dt, int taps, int64_t step, const sweep *s, const float *bias, void *to) {
    int64_t b = 0, whole = VECS * LANES;
    if (s->c < LANES) {
        sum_few(dt, s, bias, to);
        return;
    }
    for (; b + whole <= s->c; b += whole) sum_block(dt, VECS, taps, step, s, b, bias, to);
    for (; b < s->c; b += LANES) sum_block(dt, 1, taps, step, s, min64(b, s->c - LANES), bias, to);
}

static void sum_any(int dt, const sweep *s, const float *bias, void *to) {
    if (dt == IST_BF16) SHAPED(s->taps, s->step, sum_line, IST_BF16, s, bias, to);
    else SHAPED(s->taps, s->step, sum_line, IST_F32, s, bias, to);
}

static void add_row(sweep *s, const void *line, const float *w, int64_t pad) {
    s->row[s->rows++] = (tap_row){line, w, pad};
    s->most = s->most > pad ? s->most : pad;
    s->least = s->least < pad ? s->least : pad;
}

/* Adds a line under `taps` taps, `apart` columns from one another. */
static void add_line(sweep *s, const void *line, const float *w, int64_t pad, int64_t taps, int64_t apart) {
    s->taps = is_shaped(taps, s->step, apart) ? taps : 1;
    if (s->taps == taps) add_row(s, line, w, pad);
    else
        for (int64_t k = 0; k < taps; k++) add_row(s, line, w + k * s->padded, pad - k * apart);
}

static sweep sweep_of(int64_t c, int64_t step, int64_t width, int64_t count, int64_t first, int64_t each) {
    sweep s;
    s.c = c;
    s.padded = (c + LANES - 1) / LANES * LANES;
    s.taps = 1;
    s.step = step;
    s.width = width;
    s.count = count;
    s.first = first;
    s.each = each;
    s.rows = 0;
    s.most = INT64_MIN;
    s.least = INT64_MAX;
    return s;
}

/* Where tap k of a line stands among the turned weights. Backward, the taps that meet results of one remainder modulo
 * the stride stand together, the last first: that is their order along the source. */
static int64_t place(const ist_window *w, int backward, int64_t k) {
    int64_t taps = w->kernel[2], stride = w->stride[2], before = 0;
    if (!backward) return k;
    for (int64_t r = 0; r < k % stride; r++) before += (taps - r + stride - 1) / stride;
    return before + (taps - k % stride + stride - 1) / stride - 1 - k / stride;
}

/* turned [tap, padded] = w [c, tap]: channels side by side, those beyond the last 0. */
static float *turn(const char *call, const ist_window *w, const float *weights, int backward) {
    int64_t taps = volume(w->kernel), across = w->kernel[2], padded = (w->channels + LANES - 1) / LANES * LANES;
    float *turned = calloc((size_t)(taps * padded), sizeof(float));
    if (!turned) {
        ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld weights", call, (long long)(taps * padded));
        return NULL;
    }
    for (int64_t k = 0; k < taps; k++) {
        float *to = turned + (k / across * across + place(w, backward, k % across)) * padded;
        for (int64_t j = 0; j < w->channels; j++) to[j] = weights[j * taps + k];
    }
    return turned;
}

/* Runs the statements for the taps of the two leading axes whose line, from(axis, at, tap), exists: `line` is its
 * number in the sample, `tap` the first of its taps. */
#define EACH_LINE(w, from, shape, at0, at1, ...) \
    for (int64_t k0 = 0; k0 < (w)->kernel[0]; k0++) { \
        int64_t p0 = from(w, 0, at0, k0); \
        for (int64_t k1 = 0; p0 >= 0 && k1 < (w)->kernel[1]; k1++) { \
            int64_t p1 = from(w, 1, at1, k1); \
            if (p1 < 0) continue; \
            int64_t line = p0 * (shape)[1] + p1, tap = (k0 * (w)->kernel[1] + k1) * (w)->kernel[2]; \
            __VA_ARGS__ \
        } \
    }

static void forward_range(int dt, const ist_window *w, const void *x, const float *turned, const float *bias, void *y,
                          int64_t from, int64_t to) {
    int64_t lines = w->out[0] * w->out[1], ins = w->in[0] * w->in[1], c = w->channels;
    for (int64_t r = from; r < to; r++) {
        sweep s = sweep_of(c, w->stride[2], w->in[2], w->out[2], 0, 1);
        EACH_LINE(w, input_under, w->in, r % lines / w->out[1], r % w->out[1], {
            const void *source = offset(dt, x, (r / lines * ins + line) * w->in[2] * c);
            add_line(&s, source, turned + tap * s.padded, w->padding[2], w->kernel[2], w->dilation[2]);
        })
        sum_any(dt, &s, bias, (void *)offset(dt, y, r * w->out[2] * c));
    }
}

int KERNEL(depthwise)(int dtype, const ist_window *window, const void *x, const float *w, const float *bias, void *y) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_DEPTHWISE(window);
    float *turned = turn(__func__, window, w, 0);
    if (!turned) return IST_OUT_OF_MEMORY;
    int64_t lines = window->batch * window->out[0] * window->out[1];
    PARALLEL(lines * window->out[2] * window->channels * volume(window->kernel), lines, 1,
             forward_range(dtype, window, x, turned, bias, y, from, to));
    free(turned);
    return IST_OK;
}

/* One line of dx: the columns of each remainder modulo the stride have their own taps. */
static void backward_line(int dt, const ist_window *w, const void *dy, const float *turned, int64_t r, void *dx) {
    int64_t lines = w->in[0] * w->in[1], outs = w->out[0] * w->out[1], c = w->channels, stride = w->stride[2];
    for (int64_t p = 0; p < min64(stride, w->in[2]); p++) {
        sweep s = sweep_of(c, 1, w->out[2], (w->in[2] - p + stride - 1) / stride, p, stride);
        int64_t k = (p + w->padding[2]) % stride, taps = (w->kernel[2] - k + stride - 1) / stride;
        int64_t last = k + (taps - 1) * stride, apart = w->dilation[2];
        if (taps > 0)
            EACH_LINE(w, output_over, w->out, r % lines / w->in[1], r % w->in[1], {
                const void *source = offset(dt, dy, (r / lines * outs + line) * w->out[2] * c);
                add_line(&s, source, turned + (tap + place(w, 1, last)) * s.padded,
                         (last * apart - p - w->padding[2]) / stride, taps, apart);
            })
        sum_any(dt, &s, NULL, (void *)offset(dt, dx, r * w->in[2] * c));
    }
}

static void backward_range(int dt, const ist_window *w, const void *dy, const float *turned, void *dx, int64_t from,
                           int64_t to) {
    for (int64_t r = from; r < to; r++) backward_line(dt, w, dy, turned, r, dx);
}

int KERNEL(depthwise_backward_data)(int dtype, const ist_window *window, const void *dy, const float *w, void *dx) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_DEPTHWISE(window);
    float *turned = turn(__func__, window, w, 1);
    if (!turned) return IST_OUT_OF_MEMORY;
    int64_t lines = window->batch * window->in[0] * window->in[1];
    PARALLEL(lines * window->in[2] * window->channels * volume(window->kernel), lines, 1,
             backward_range(dtype, window, dy, turned, dx, from, to));
    free(turned);
    return IST_OK;
}
