/* Batch normalisation, with a residual and an activation fused in; forward and backward. */
#include "norm.h"

/* Sums of two quantities a channel; each thread has its own, on cache lines of its own, which are added in the order of
 * threads. */
typedef struct sums {
    double *first, *second; /* [threads, apart] */
    int64_t apart;
    int threads;
} sums;

static int sums_make(sums *s, int64_t c) {
    s->threads = omp_get_max_threads();
    s->apart = (c + 15) / 16 * 16;
    size_t bytes = (size_t)(2 * s->threads * s->apart) * sizeof(double);
    s->first = aligned_alloc(128, bytes);
    if (!s->first) return ist_fail(IST_OUT_OF_MEMORY, "batch_norm: no memory for %lld channels", (long long)c);
    memset(s->first, 0, bytes);
    s->second = s->first + s->threads * s->apart;
    return IST_OK;
}

static double sums_total(const sums *s, const double *part, int64_t j) {
    double all = 0;
    for (int t = 0; t < s->threads; t++) all += part[t * s->apart + j];
    return all;
}

#define CHECK(ld) \
    REQUIRE_DTYPE(dtype); \
    REQUIRE(rows > 0 && c > 0, "%s: %lld rows of %lld channels", __func__, (long long)rows, (long long)c); \
    REQUIRE((ld) >= c, "%s: rows are %lld apart but %lld long", __func__, (long long)(ld), (long long)c)

int KERNEL(channel_statistics)(int dtype, const void *x, int64_t ldx, int64_t rows, int64_t c, float *mean,
                               float *variance) {
    CHECK(ldx);
    sums s;
    int status = sums_make(&s, c);
    if (status) return status;
    PARALLEL(rows * c, rows, 4, {
        double *sum = s.first + omp_get_thread_num() * s.apart, *square = s.second + omp_get_thread_num() * s.apart;
        TYPED(dtype, statistics_range, x, ldx, c, sum, square, from, to);
    });
    for (int64_t j = 0; j < c; j++) {
        double m = sums_total(&s, s.first, j) / (double)rows;
        double v = sums_total(&s, s.second, j) / (double)rows - m * m;
        mean[j] = (float)m;
        variance[j] = (float)(v < 0 ? 0 : v);
    }
    free(s.first);
    return IST_OK;
}

int KERNEL(update_statistics)(const float *mean, const float *variance, float *running_mean, float *running_variance,
                              float momentum, int64_t count, int64_t c) {
    REQUIRE_SIZE(c);
    REQUIRE(count > 0, "%s: statistics over %lld elements", __func__, (long long)count);
    double unbias = count > 1 ? (double)count / (double)(count - 1) : 1;
    for (int64_t j = 0; j < c; j++) {
        running_mean[j] += momentum * (mean[j] - running_mean[j]);
        running_variance[j] += (float)(momentum * (variance[j] * unbias - running_variance[j]));
    }
    return IST_OK;
}

#define REQUIRE_ACTIVATION \
    REQUIRE(activation >= IST_NONE && activation <= IST_SILU, "%s: no activation %d", __func__, activation)

/* The factor of each channel. */
static float *factors_of(const char *call, const float *variance, const float *gamma, float epsilon, int64_t c) {
    float *factor = malloc((size_t)c * sizeof(float));
    if (!factor) ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld channels", call, (long long)c);
    for (int64_t j = 0; factor && j < c; j++) factor[j] = (float)(gamma[j] / sqrt((double)variance[j] + epsilon));
    return factor;
}

int KERNEL(batch_norm)(int dtype, const void *x, int64_t ldx, const float *mean, const float *variance,
                       const float *gamma, const float *beta, float epsilon, const void *residual, int activation,
                       void *y, int64_t ldy, int64_t rows, int64_t c) {
    CHECK(ldx < ldy ? ldx : ldy);
    REQUIRE_ACTIVATION;
    float *factor = factors_of(__func__, variance, gamma, epsilon, c);
    if (!factor) return IST_OUT_OF_MEMORY;
    normal k = {mean, factor, beta};
    PARALLEL(rows * c, rows, 1, TYPED(dtype, forward_range, x, ldx, k, residual, activation, y, ldy, c, from, to));
    free(factor);
    return IST_OK;
}

int KERNEL(batch_norm_backward)(int dtype, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                                const float *mean, const float *variance, const float *gamma, const float *beta,
                                float epsilon, int activation, int frozen, void *dx, int64_t lddx, const void *add,
                                int64_t ldadd, float *dgamma, float *dbeta, void *dresidual, int64_t rows, int64_t c) {
    CHECK(min64(min64(ldx, ldy), min64(lddx, ldadd)));
    REQUIRE_ACTIVATION;
    sums s;
    affine f = {factors_of(__func__, variance, gamma, epsilon, c), malloc((size_t)(2 * c) * sizeof(float)), NULL};
    int status = f.a && f.b ? sums_make(&s, c) : ist_fail(IST_OUT_OF_MEMORY, "%s: no memory", __func__);
    if (status) {
        free(f.a);
        free(f.b);
        return status;
    }
    f.d = f.b + c;
    normal k = {mean, f.a, beta};
    int slope = slope_of(activation, y);
    PARALLEL(rows * c, rows, 2, {
        double *sum = s.first + omp_get_thread_num() * s.apart, *product = s.second + omp_get_thread_num() * s.apart;
        TYPED(dtype, reduce_range, x, ldx, k, y, dy, ldy, slope, sum, product, c, from, to);
    });
    for (int64_t j = 0; j < c; j++) {
        double inverse = 1 / sqrt((double)variance[j] + epsilon), a = gamma[j] * inverse;
        double db = sums_total(&s, s.first, j), dg = sums_total(&s, s.second, j) * inverse;
        dbeta[j] = (float)db;
        dgamma[j] = (float)dg;
        f.b[j] = frozen ? 0 : (float)(-a * inverse * dg / (double)rows);
        f.d[j] = frozen ? 0 : (float)(-a * db / (double)rows);
    }
    free(s.first);
    results o = {dx, lddx, add, ldadd, dresidual};
    if (dx || dresidual)
        PARALLEL(rows * c, rows, 1, TYPED(dtype, backward_range, x, ldx, k, y, dy, ldy, slope, f, o, c, from, to));
    free(f.a);
    free(f.b);
    return IST_OK;
}

INLINE void settle_range(int dt, const void *d, int64_t ldd, const void *x, int64_t ldx, const float *slope,
                         const float *shift, void *y, int64_t ldy, int64_t c, int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *dr = offset(dt, d, r * ldd), *xr = offset(dt, x, r * ldx);
        void *yr = (void *)offset(dt, y, r * ldy);
        foresee(dt, dr, ldd, c);
        foresee(dt, xr, ldx, c);
        SIMD for (int64_t j = 0; j < c; j++)
            store(dt, yr, j, load(dt, xr, j) * slope[j] + shift[j] + load(dt, dr, j));
    }
}

int KERNEL(settle)(int dtype, const void *d, int64_t ldd, const void *x, int64_t ldx, const float *slope,
                   const float *shift, void *y, int64_t ldy, int64_t rows, int64_t c) {
    CHECK(min64(ldd, min64(ldx, ldy)));
    PARALLEL(rows * c, rows, 1, TYPED(dtype, settle_range, d, ldd, x, ldx, slope, shift, y, ldy, c, from, to));
    return IST_OK;
}
