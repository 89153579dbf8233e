/* What normalisations share: sums a channel, and rows normalised or differentiated with one number a channel. */
#ifndef IST_NORM_H
#define IST_NORM_H

#include "exp.h"

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

/* z = (x - mean) factor + beta, one number a channel. */
typedef struct normal {
    const float *mean, *factor, *beta;
} normal;

/* z, and z + residual. On float32 memory that sum is taken in float64, which costs nothing beside the memory, and rounded once:
 * where it is near zero each rounding less is a sign less that turns. */
INLINE float normalized(float x, normal k, int64_t j) { return (x - k.mean[j]) * k.factor[j] + k.beta[j]; }

INLINE float with_residual(int dt, float x, normal k, const void *residual, int64_t j) {
    if (dt != IST_F32) return normalized(x, k, j) + load(dt, residual, j);
    return (float)(((double)x - k.mean[j]) * k.factor[j] + k.beta[j] + load(dt, residual, j));
}

INLINE void forward_row(int dt, int activation, const void *x, normal k, const void *residual, void *y, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) {
        float v = load(dt, x, j), z = residual ? with_residual(dt, v, k, residual, j) : normalized(v, k, j);
        if (activation == IST_RELU) z = z < 0 ? 0 : z;
        if (activation == IST_SILU) z = z * logistic(z);
        store(dt, y, j, z);
    }
}

INLINE void forward_range(int dt, const void *x, int64_t ldx, normal k, const void *residual, int activation, void *y,
                          int64_t ldy, int64_t c, int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *xr = offset(dt, x, r * ldx), *rr = residual ? offset(dt, residual, r * ldy) : NULL;
        void *yr = (void *)offset(dt, y, r * ldy);
        /* Each case on its own, so that no choice is left inside the loop. */
        if (rr && activation == IST_RELU) forward_row(dt, IST_RELU, xr, k, rr, yr, c);
        else if (rr && activation == IST_SILU) forward_row(dt, IST_SILU, xr, k, rr, yr, c);
        else if (rr) forward_row(dt, IST_NONE, xr, k, rr, yr, c);
        else if (activation == IST_RELU) forward_row(dt, IST_RELU, xr, k, NULL, yr, c);
        else if (activation == IST_SILU) forward_row(dt, IST_SILU, xr, k, NULL, yr, c);
        else forward_row(dt, IST_NONE, xr, k, NULL, yr, c);
    }
}

/* Where the backward pass finds the activation's slope: ReLU's in the sign of y, or each in z, made again from x. */
enum { SLOPE_NONE, SLOPE_RELU_Y, SLOPE_RELU_Z, SLOPE_SILU_Z };

INLINE int slope_of(int activation, const void *y) {
    if (activation == IST_NONE) return SLOPE_NONE;
    return activation == IST_SILU ? SLOPE_SILU_Z : y ? SLOPE_RELU_Y : SLOPE_RELU_Z;
}

/* Calls f with the slope as its constant second argument, after the type. */
#define SLOPED(slope, f, dt, ...) \
    do { \
        if ((slope) == SLOPE_NONE) f(dt, SLOPE_NONE, __VA_ARGS__); \
        else if ((slope) == SLOPE_RELU_Y) f(dt, SLOPE_RELU_Y, __VA_ARGS__); \
        else if ((slope) == SLOPE_RELU_Z) f(dt, SLOPE_RELU_Z, __VA_ARGS__); \
        else f(dt, SLOPE_SILU_Z, __VA_ARGS__); \
    } while (0)

/* dz: the gradient before the activation. */
INLINE float upstream(int dt, int slope, float x, normal k, const void *y, const void *dy, int64_t j) {
    float d = load(dt, dy, j);
    if (slope == SLOPE_NONE) return d;
    if (slope == SLOPE_RELU_Y) return load(dt, y, j) > 0 ? d : 0;
    float z = normalized(x, k, j);
    return slope == SLOPE_RELU_Z ? (z > 0 ? d : 0) : d * silu_slope(z);
}

INLINE void reduce_row(int dt, int slope, const void *x, normal k, const void *y, const void *dy, double *restrict sum,
                       double *restrict product, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) {
        float v = load(dt, x, j), dz = upstream(dt, slope, v, k, y, dy, j);
        sum[j] += dz;
        product[j] += dz * (v - k.mean[j]);
    }
}

/* Two rows at a time for the same reason as above. */
INLINE void reduce_rows(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                        int64_t ldy, double *restrict sum, double *restrict product, int64_t c) {
    const void *x1 = offset(dt, x, ldx), *y1 = y ? offset(dt, y, ldy) : NULL, *dy1 = offset(dt, dy, ldy);
    SIMD for (int64_t j = 0; j < c; j++) {
        float v = load(dt, x, j), v1 = load(dt, x1, j);
        float a = upstream(dt, slope, v, k, y, dy, j), b = upstream(dt, slope, v1, k, y1, dy1, j);
        sum[j] += (double)a + b;
        product[j] += (double)(a * (v - k.mean[j])) + b * (v1 - k.mean[j]);
    }
}

INLINE void reduce_sloped(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                          int64_t ldy, double *sum, double *product, int64_t c, int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r += 2) {
        const void *xr = offset(dt, x, r * ldx), *yr = slope == SLOPE_RELU_Y ? offset(dt, y, r * ldy) : NULL,
                   *dr = offset(dt, dy, r * ldy);
        if (r + 1 == to) reduce_row(dt, slope, xr, k, yr, dr, sum, product, c);
        else reduce_rows(dt, slope, xr, ldx, k, yr, dr, ldy, sum, product, c);
    }
}

/* Adds up dz, and dz (x - mean), over the rows. */
INLINE void reduce_range(int dt, const void *x, int64_t ldx, normal k, const void *y, const void *dy, int64_t ldy,
                         int slope, double *sum, double *product, int64_t c, int64_t from, int64_t to) {
    SLOPED(slope, reduce_sloped, dt, x, ldx, k, y, dy, ldy, sum, product, c, from, to);
}

/* dx = a dz + b (x - mean) + d, with a, b, d one number a channel. */
typedef struct affine {
    float *a, *b, *d;
} affine;

INLINE void backward_row(int dt, int slope, const void *x, normal k, const void *y, const void *dy, affine f, void *dx,
                         void *dresidual, int64_t c) {
    const float *restrict fa = f.a, *restrict fb = f.b, *restrict fd = f.d;
    SIMD for (int64_t j = 0; j < c; j++) {
        float v = load(dt, x, j), dz = upstream(dt, slope, v, k, y, dy, j);
        if (dx) store(dt, dx, j, fa[j] * dz + (fb[j] * (v - k.mean[j]) + fd[j]));
        if (dresidual) store(dt, dresidual, j, dz);
    }
}

INLINE void backward_sloped(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                            int64_t ldy, affine f, void *dx, void *dresidual, int64_t c, int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *xr = offset(dt, x, r * ldx), *yr = slope == SLOPE_RELU_Y ? offset(dt, y, r * ldy) : NULL,
                   *dr = offset(dt, dy, r * ldy);
        void *dxr = dx ? (void *)offset(dt, dx, r * ldx) : NULL,
             *dsr = dresidual ? (void *)offset(dt, dresidual, r * ldy) : NULL;
        if (dxr && dsr) backward_row(dt, slope, xr, k, yr, dr, f, dxr, dsr, c);
        else if (dxr) backward_row(dt, slope, xr, k, yr, dr, f, dxr, NULL, c);
        else backward_row(dt, slope, xr, k, yr, dr, f, NULL, dsr, c);
    }
}

INLINE void backward_range(int dt, const void *x, int64_t ldx, normal k, const void *y, const void *dy, int64_t ldy,
                           int slope, affine f, void *dx, void *dresidual, int64_t c, int64_t from, int64_t to) {
    SLOPED(slope, backward_sloped, dt, x, ldx, k, y, dy, ldy, f, dx, dresidual, c, from, to);
}

#endif
