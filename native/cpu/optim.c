/* Optimizers: one pass over flat weights, gradients and state; norms and counts over flat buffers. */
#include "kernel.h"

static void sgd_range(const ist_sgd_options *o, float *restrict p, const float *restrict g, float *restrict m,
                      int64_t from, int64_t to) {
    float lr = (float)o->lr, mu = (float)o->momentum, decay = (float)o->weight_decay, s = (float)o->gradient_scale;
    float keep = o->step <= 1 ? 0 : mu, take = o->step <= 1 ? 1 : (float)(1 - o->dampening);
    float nesterov = o->nesterov ? mu : 0, direct = o->nesterov ? 1 : 0, through = o->nesterov ? nesterov : 1;
    if (!m) {
        SIMD for (int64_t i = from; i < to; i++) p[i] -= lr * (s * g[i] + decay * p[i]);
        return;
    }
    SIMD for (int64_t i = from; i < to; i++) {
        float gi = s * g[i] + decay * p[i];
        /* The first step takes nothing from m, whatever lies there. */
        float mi = (keep == 0 ? 0 : keep * m[i]) + take * gi;
        m[i] = mi;
        p[i] -= lr * (direct * gi + through * mi);
    }
}

int KERNEL(sgd)(const ist_sgd_options *options, float *p, const float *g, float *m, int64_t n) {
    REQUIRE_SIZE(n);
    REQUIRE(options->step >= 1, "%s: steps count from 1, not %lld", __func__, (long long)options->step);
    REQUIRE(m || options->momentum == 0, "%s: momentum %g needs a buffer", __func__, options->momentum);
    PARALLEL(n, n, GRAIN, sgd_range(options, p, g, options->momentum == 0 ? NULL : m, from, to));
    return IST_OK;
}

static void adam_range(const ist_adam_options *o, float *restrict p, const float *restrict g, float *restrict m,
                       float *restrict v, float *restrict vmax, int64_t from, int64_t to) {
    float decay = (float)(1 - o->lr * o->weight_decay), coupled = o->decoupled ? 0 : (float)o->weight_decay;
    float s = (float)o->gradient_scale, b2 = (float)o->beta2, c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2);
    float step = (float)(o->lr / (1 - pow(o->beta1, (double)o->step)));
    float root = (float)(1 / sqrt(1 - pow(o->beta2, (double)o->step))), eps = (float)o->epsilon;
    if (!o->decoupled) decay = 1;
#define ADAM(SECOND) \
    SIMD for (int64_t i = from; i < to; i++) { \
        float pi = p[i] * decay, gi = s * g[i] + coupled * pi; \
        float mi = m[i] + c1 * (gi - m[i]), vi = b2 * v[i] + c2 * gi * gi; \
        m[i] = mi; \
        v[i] = vi; \
        p[i] = pi - step * mi / (sqrtf(SECOND) * root + eps); \
    }
    if (vmax) ADAM(vmax[i] = vmax[i] > vi ? vmax[i] : vi)
    else ADAM(vi)
#undef ADAM
}

int KERNEL(adam)(const ist_adam_options *options, float *p, const float *g, float *m, float *v, float *vmax,
                 int64_t n) {
    REQUIRE_SIZE(n);
    REQUIRE(options->step >= 1, "%s: steps count from 1, not %lld", __func__, (long long)options->step);
    PARALLEL(n, n, GRAIN, adam_range(options, p, g, m, v, vmax, from, to));
    return IST_OK;
}

static void proximal_range(float *restrict g, const float *restrict p, const float *restrict p0, float mu, int64_t from,
                           int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) g[i] += mu * (p[i] - p0[i]);
}

int KERNEL(proximal)(float *g, const float *p, const float *p0, float mu, int64_t n) {
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, proximal_range(g, p, p0, mu, from, to));
    return IST_OK;
}

/* Sums are taken over this many pieces whatever the number of threads, and added in order. */
#define PIECES 256

static double squares(const float *x, int64_t from, int64_t to) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = from; i < to; i++) sum += (double)x[i] * x[i];
    return sum;
}

int KERNEL(sum_of_squares)(const float *x, int64_t n, double *sum) {
    REQUIRE_SIZE(n);
    double part[PIECES];
    int64_t size = (n + PIECES - 1) / PIECES;
    PARALLEL(n, PIECES, 1, for (int64_t i = from; i < to; i++) part[i] =
                               squares(x, min64(n, i * size), min64(n, (i + 1) * size)));
    double all = 0;
    for (int i = 0; i < PIECES; i++) all += part[i];
    *sum = all;
    return IST_OK;
}

static int64_t nonfinite(const float *x, int64_t from, int64_t to) {
    int64_t count = 0;
    for (int64_t block = from; block < to; block += 4096) {
        int32_t here = 0;
        int64_t end = min64(to, block + 4096);
#pragma omp simd reduction(+ : here)
        for (int64_t i = block; i < end; i++) {
            uint32_t bits;
            memcpy(&bits, x + i, 4);
            here += (bits & 0x7f800000u) == 0x7f800000u;
        }
        count += here;
    }
    return count;
}

int KERNEL(count_nonfinite)(const float *x, int64_t n, int64_t *count) {
    REQUIRE_SIZE(n);
    int64_t part[PIECES];
    int64_t size = (n + PIECES - 1) / PIECES;
    PARALLEL(n, PIECES, 1, for (int64_t i = from; i < to; i++) part[i] =
                               nonfinite(x, min64(n, i * size), min64(n, (i + 1) * size)));
    int64_t all = 0;
    for (int i = 0; i < PIECES; i++) all += part[i];
    *count = all;
    return IST_OK;
}

/* Both in one pass over memory: the count reads what the sum has just brought into the cache. */
static void norm_piece(const float *x, int64_t from, int64_t to, double *sum, int64_t *count) {
    *sum = 0;
    *count = 0;
    for (int64_t block = from; block < to; block += 4096) {
        int64_t end = min64(to, block + 4096);
        *sum += squares(x, block, end);
        *count += nonfinite(x, block, end);
    }
}

int KERNEL(gradient_norm)(const float *x, int64_t n, double *sum, int64_t *count) {
    REQUIRE_SIZE(n);
    double sums[PIECES];
    int64_t counts[PIECES];
    int64_t size = (n + PIECES - 1) / PIECES;
    PARALLEL(n, PIECES, 1, for (int64_t i = from; i < to; i++)
                               norm_piece(x, min64(n, i * size), min64(n, (i + 1) * size), sums + i, counts + i));
    double all = 0;
    int64_t bad = 0;
    for (int i = 0; i < PIECES; i++) {
        all += sums[i];
        bad += counts[i];
    }
    *sum = all;
    *count = bad;
    return IST_OK;
}

static void average_range(float *restrict y, const float *restrict x, float t, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) y[i] += t * (x[i] - y[i]);
}

int KERNEL(average)(float *y, const float *x, float t, int64_t n) {
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, average_range(y, x, t, from, to));
    return IST_OK;
}

int KERNEL(clip_factor)(const double *sum_of_squares, double max_norm, double *factor) {
    REQUIRE(max_norm > 0, "%s: the norm %g is not positive", __func__, max_norm);
    double f = max_norm / (sqrt(*sum_of_squares) + 1e-6);
    *factor = f > 1 ? 1 : f;
    return IST_OK;
}
