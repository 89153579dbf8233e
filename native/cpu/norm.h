/* What normalisations share: sums a channel, and rows normalised or differentiated with one number a channel. */
#ifndef IST_NORM_H
#define IST_NORM_H

#include "kernel.h"

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

#endif
