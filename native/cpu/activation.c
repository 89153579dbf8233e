/* Sigmoid and SiLU, forward and backward. ReLU has a file of its own. */
#include "exp.h"

/* Some 20 operations an element: fewer elements are worth a second thread. */
#define WORK(n) ((n) * 4)

INLINE void sigmoid_range(int dt, const void *x, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, logistic_of(dt, load(dt, x, i)));
}

int KERNEL(sigmoid)(int dtype, const void *x, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(WORK(n), n, GRAIN, TYPED(dtype, sigmoid_range, x, y, from, to));
    return IST_OK;
}

INLINE void sigmoid_backward_range(int dt, const void *y, const void *dy, void *dx, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) {
        float s = load(dt, y, i);
        store(dt, dx, i, load(dt, dy, i) * s * (1 - s));
    }
}

int KERNEL(sigmoid_backward)(int dtype, const void *y, const void *dy, void *dx, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, sigmoid_backward_range, y, dy, dx, from, to));
    return IST_OK;
}

INLINE void silu_range(int dt, const void *x, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) {
        float v = load(dt, x, i);
        store(dt, y, i, v * logistic_of(dt, v));
    }
}

int KERNEL(silu)(int dtype, const void *x, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(WORK(n), n, GRAIN, TYPED(dtype, silu_range, x, y, from, to));
    return IST_OK;
}

INLINE void silu_backward_range(int dt, const void *x, const void *dy, void *dx, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, dx, i, load(dt, dy, i) * silu_slope(dt, load(dt, x, i)));
}

int KERNEL(silu_backward)(int dtype, const void *x, const void *dy, void *dx, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(WORK(n), n, GRAIN, TYPED(dtype, silu_backward_range, x, dy, dx, from, to));
    return IST_OK;
}
