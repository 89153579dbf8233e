/* Arithmetic on whole weight buffers. */
#include "kernel.h"

#define BLOCK 1024

static void fold_range(const float *base, const float *const *updates, const double *weights, int64_t k, float *out,
                       int64_t from, int64_t to) {
    double sum[BLOCK];
    for (int64_t b = from; b < to; b += BLOCK) {
        int64_t n = min64(BLOCK, to - b);
        SIMD for (int64_t i = 0; i < n; i++) sum[i] = base[b + i];
        for (int64_t j = 0; j < k; j++) {
            const float *u = updates[j] + b;
            double w = weights[j];
            SIMD for (int64_t i = 0; i < n; i++) sum[i] += w * u[i];
        }
        SIMD for (int64_t i = 0; i < n; i++) out[b + i] = (float)sum[i];
    }
}

int KERNEL(fold)(const float *base, const float *const *updates, const double *weights, int64_t k, float *out,
                 int64_t n) {
    REQUIRE_SIZE(n);
    REQUIRE_SIZE(k);
    for (int64_t j = 0; j < k; j++) REQUIRE(updates[j], "%s: update %lld is NULL", __func__, (long long)j);
    PARALLEL(n * (k + 1), n, GRAIN, fold_range(base, updates, weights, k, out, from, to));
    return IST_OK;
}

static void difference_range(const float *a, const float *b, float *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) y[i] = a[i] - b[i];
}

int KERNEL(difference)(const float *a, const float *b, float *y, int64_t n) {
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, difference_range(a, b, y, from, to));
    return IST_OK;
}

static void axpy_range(float factor, const float *x, float *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) y[i] += factor * x[i];
}

int KERNEL(axpy)(float factor, const float *x, float *y, int64_t n) {
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, axpy_range(factor, x, y, from, to));
    return IST_OK;
}

int KERNEL(copy)(const void *x, void *y, int64_t n) {
    REQUIRE_SIZE(n);
    PARALLEL(n / 4, n, 4096, memcpy((char *)y + from, (const char *)x + from, (size_t)(to - from)));
    return IST_OK;
}
