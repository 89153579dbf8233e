/* Element-wise sums, multiples and ReLU, forward and backward. */
#include "kernel.h"

INLINE float rectify(float x) { return x < 0 ? 0 : x; }

INLINE void relu_range(int dt, const void *x, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, rectify(load(dt, x, i)));
}

int KERNEL(relu)(int dtype, const void *x, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, relu_range, x, y, from, to));
    return IST_OK;
}

INLINE void backward_range(int dt, const void *y, const void *dy, void *dx, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) {
        float d = load(dt, dy, i);
        store(dt, dx, i, load(dt, y, i) > 0 ? d : 0);
    }
}

int KERNEL(relu_backward)(int dtype, const void *y, const void *dy, void *dx, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, backward_range, y, dy, dx, from, to));
    return IST_OK;
}

INLINE void add_range(int dt, const void *a, const void *b, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, load(dt, a, i) + load(dt, b, i));
}

int KERNEL(add)(int dtype, const void *a, const void *b, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, add_range, a, b, y, from, to));
    return IST_OK;
}

INLINE void add_relu_range(int dt, const void *a, const void *b, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, rectify(load(dt, a, i) + load(dt, b, i)));
}

int KERNEL(add_relu)(int dtype, const void *a, const void *b, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, add_relu_range, a, b, y, from, to));
    return IST_OK;
}

INLINE void scale_range(int dt, const void *x, float factor, void *y, int64_t from, int64_t to) {
    SIMD for (int64_t i = from; i < to; i++) store(dt, y, i, factor * load(dt, x, i));
}

int KERNEL(scale)(int dtype, const void *x, float factor, void *y, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    PARALLEL(n, n, GRAIN, TYPED(dtype, scale_range, x, factor, y, from, to));
    return IST_OK;
}
