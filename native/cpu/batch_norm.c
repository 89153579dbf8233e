/* Batch normalisation, with ReLU and a residual fused in; forward and backward. */
#include "kernel.h"

/* Sums of two quantities a channel; each thread has its own, which are added in the order of threads. */
typedef struct sums {
    double *first, *second; /* [threads, c] */
    int threads;
} sums;

static int sums_make(sums *s, int64_t c) {
    s->threads = omp_get_max_threads();
    s->first = calloc((size_t)(2 * s->threads * c), sizeof(double));
    if (!s->first) return ist_fail(IST_OUT_OF_MEMORY, "batch_norm: no memory for %lld channels", (long long)c);
    s->second = s->first + s->threads * c;
    return IST_OK;
}

static double sums_total(const double *part, int threads, int64_t c, int64_t j) {
    double all = 0;
    for (int t = 0; t < threads; t++) all += part[t * c + j];
    return all;
}

#define CHECK(ld) \
    REQUIRE_DTYPE(dtype); \
    REQUIRE(rows > 0 && c > 0, "%s: %lld rows of %lld channels", __func__, (long long)rows, (long long)c); \
    REQUIRE((ld) >= c, "%s: rows are %lld apart but %lld long", __func__, (long long)(ld), (long long)c)

/* Four rows at a time, so that the float64 sums are read and written a quarter as often. */
INLINE void statistics_range(int dt, const void *x, int64_t ldx, int64_t c, double *restrict sum,
                             double *restrict square, int64_t from, int64_t to) {
    int64_t r = from;
    for (; r + 4 <= to; r += 4) {
        const void *x0 = offset(dt, x, r * ldx), *x1 = offset(dt, x0, ldx), *x2 = offset(dt, x1, ldx),
                   *x3 = offset(dt, x2, ldx);
        SIMD for (int64_t j = 0; j < c; j++) {
            double a = load(dt, x0, j), b = load(dt, x1, j), d = load(dt, x2, j), e = load(dt, x3, j);
            sum[j] += (a + b) + (d + e);
            square[j] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; r < to; r++) {
        const void *x0 = offset(dt, x, r * ldx);
        SIMD for (int64_t j = 0; j < c; j++) {
            double a = load(dt, x0, j);
            sum[j] += a;
            square[j] += a * a;
        }
    }
}

int KERNEL(channel_statistics)(int dtype, const void *x, int64_t ldx, int64_t rows, int64_t c, float *mean,
                               float *variance) {
    CHECK(ldx);
    sums s;
    int status = sums_make(&s, c);
    if (status) return status;
    PARALLEL(rows * c, rows, 4, {
        double *sum = s.first + omp_get_thread_num() * c, *square = s.second + omp_get_thread_num() * c;
        TYPED(dtype, statistics_range, x, ldx, c, sum, square, from, to);
    });
    for (int64_t j = 0; j < c; j++) {
        double m = sums_total(s.first, s.threads, c, j) / (double)rows;
        double v = sums_total(s.second, s.threads, c, j) / (double)rows - m * m;
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

INLINE void forward_row(int dt, const void *x, const float *restrict mean, const float *restrict factor,
                        const float *restrict beta, const void *residual, int relu, void *y, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) {
        float z = (load(dt, x, j) - mean[j]) * factor[j] + beta[j];
        if (residual) z += load(dt, residual, j);
        if (relu) z = z < 0 ? 0 : z;
        store(dt, y, j, z);
    }
}

INLINE void forward_range(int dt, const void *x, int64_t ldx, const float *mean, const float *factor,
                          const float *beta, const void *residual, int relu, void *y, int64_t ldy, int64_t c,
                          int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *xr = offset(dt, x, r * ldx), *rr = residual ? offset(dt, residual, r * ldy) : NULL;
        void *yr = (void *)offset(dt, y, r * ldy);
        /* Each case on its own, so that no choice is left inside the loop. */
        if (rr && relu) forward_row(dt, xr, mean, factor, beta, rr, 1, yr, c);
        else if (rr) forward_row(dt, xr, mean, factor, beta, rr, 0, yr, c);
        else if (relu) forward_row(dt, xr, mean, factor, beta, NULL, 1, yr, c);
        else forward_row(dt, xr, mean, factor, beta, NULL, 0, yr, c);
    }
}

int KERNEL(batch_norm)(int dtype, const void *x, int64_t ldx, const float *mean, const float *variance,
                       const float *gamma, const float *beta, float epsilon, const void *residual, int relu, void *y,
                       int64_t ldy, int64_t rows, int64_t c) {
    CHECK(ldx < ldy ? ldx : ldy);
    float *factor = malloc((size_t)c * sizeof(float));
    if (!factor) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld channels", __func__, (long long)c);
    for (int64_t j = 0; j < c; j++) factor[j] = (float)(gamma[j] / sqrt((double)variance[j] + epsilon));
    PARALLEL(rows * c, rows, 1,
             TYPED(dtype, forward_range, x, ldx, mean, factor, beta, residual, relu, y, ldy, c, from, to));
    free(factor);
    return IST_OK;
}

INLINE float upstream(int dt, const void *y, const void *dy, int relu, int64_t j) {
    float d = load(dt, dy, j);
    return !relu || load(dt, y, j) > 0 ? d : 0;
}

INLINE void reduce_row(int dt, const void *x, const void *y, const void *dy, const float *restrict mean, int relu,
                       double *restrict sum, double *restrict product, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) {
        float dz = upstream(dt, y, dy, relu, j);
        sum[j] += dz;
        product[j] += dz * (load(dt, x, j) - mean[j]);
    }
}

/* Two rows at a time for the same reason as above. */
INLINE void reduce_rows(int dt, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                        const float *restrict mean, int relu, double *restrict sum, double *restrict product,
                        int64_t c) {
    const void *x1 = offset(dt, x, ldx), *y1 = relu ? offset(dt, y, ldy) : y, *dy1 = offset(dt, dy, ldy);
    SIMD for (int64_t j = 0; j < c; j++) {
        float a = upstream(dt, y, dy, relu, j), b = upstream(dt, y1, dy1, relu, j);
        sum[j] += (double)a + b;
        product[j] += (double)(a * (load(dt, x, j) - mean[j])) + b * (load(dt, x1, j) - mean[j]);
    }
}

INLINE void reduce_range(int dt, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                         const float *mean, int relu, double *sum, double *product, int64_t c, int64_t from,
                         int64_t to) {
    for (int64_t r = from; r < to; r += 2) {
        const void *xr = offset(dt, x, r * ldx), *yr = relu ? offset(dt, y, r * ldy) : NULL,
                   *dr = offset(dt, dy, r * ldy);
        if (r + 1 == to) reduce_row(dt, xr, yr, dr, mean, relu, sum, product, c);
        else if (relu) reduce_rows(dt, xr, ldx, yr, dr, ldy, mean, 1, sum, product, c);
        else reduce_rows(dt, xr, ldx, yr, dr, ldy, mean, 0, sum, product, c);
    }
}

/* dx = a dz + b (x - mean) + d, with a, b, d one number a channel. */
typedef struct affine {
    float *a, *b, *d;
} affine;

INLINE void backward_row(int dt, const void *x, const void *y, const void *dy, const float *restrict mean,
                         affine f, int relu, void *dx, void *dresidual, int64_t c) {
    const float *restrict fa = f.a, *restrict fb = f.b, *restrict fd = f.d;
    SIMD for (int64_t j = 0; j < c; j++) {
        float dz = upstream(dt, y, dy, relu, j);
        if (dx) store(dt, dx, j, fa[j] * dz + (fb[j] * (load(dt, x, j) - mean[j]) + fd[j]));
        if (dresidual) store(dt, dresidual, j, dz);
    }
}

INLINE void backward_range(int dt, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                           const float *mean, affine f, int relu, void *dx, void *dresidual, int64_t c, int64_t from,
                           int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *xr = offset(dt, x, r * ldx), *yr = relu ? offset(dt, y, r * ldy) : NULL,
                   *dr = offset(dt, dy, r * ldy);
        void *dxr = dx ? (void *)offset(dt, dx, r * ldx) : NULL,
             *dsr = dresidual ? (void *)offset(dt, dresidual, r * ldy) : NULL;
        if (dxr && dsr && relu) backward_row(dt, xr, yr, dr, mean, f, 1, dxr, dsr, c);
        else if (dxr && !dsr && relu) backward_row(dt, xr, yr, dr, mean, f, 1, dxr, NULL, c);
        else if (dxr && !dsr) backward_row(dt, xr, yr, dr, mean, f, 0, dxr, NULL, c);
        else backward_row(dt, xr, yr, dr, mean, f, relu, dxr, dsr, c);
    }
}

int KERNEL(batch_norm_backward)(int dtype, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                                const float *mean, const float *variance, const float *gamma, float epsilon, int relu,
                                int frozen, void *dx, float *dgamma, float *dbeta, void *dresidual, int64_t rows,
                                int64_t c) {
    CHECK(ldx < ldy ? ldx : ldy);
    REQUIRE(!relu || y, "%s: the mask needs y", __func__);
    affine f = {malloc((size_t)(3 * c) * sizeof(float)), NULL, NULL};
    sums s;
    int status = f.a ? sums_make(&s, c) : ist_fail(IST_OUT_OF_MEMORY, "%s: no memory", __func__);
    if (status) {
        free(f.a);
        return status;
    }
    f.b = f.a + c;
    f.d = f.b + c;
    PARALLEL(rows * c, rows, 2, {
        double *sum = s.first + omp_get_thread_num() * c, *product = s.second + omp_get_thread_num() * c;
        TYPED(dtype, reduce_range, x, ldx, y, dy, ldy, mean, relu, sum, product, c, from, to);
    });
    for (int64_t j = 0; j < c; j++) {
        double inverse = 1 / sqrt((double)variance[j] + epsilon), a = gamma[j] * inverse;
        double db = sums_total(s.first, s.threads, c, j), dg = sums_total(s.second, s.threads, c, j) * inverse;
        dbeta[j] = (float)db;
        dgamma[j] = (float)dg;
        f.a[j] = (float)a;
        f.b[j] = frozen ? 0 : (float)(-a * inverse * dg / (double)rows);
        f.d[j] = frozen ? 0 : (float)(-a * db / (double)rows);
    }
    free(s.first);
    if (dx || dresidual)
        PARALLEL(rows * c, rows, 1,
                 TYPED(dtype, backward_range, x, ldx, y, dy, ldy, mean, f, relu, dx, dresidual, c, from, to));
    free(f.a);
    return IST_OK;
}
