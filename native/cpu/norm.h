/* What normalisations share: sums a channel, and rows normalised or differentiated with one number a channel. */
#ifndef IST_NORM_H
#define IST_NORM_H

#include "exp.h"

/* Values that are worked on side by side, and rows whose float32 sums are then added to the float64 ones. */
enum { WIDE = 512, DEEP = 64 };

/* Rows that lie end to end are taken several at a time as one long row: a short loop costs more than what is in it. */
INLINE int64_t times_of(int64_t ldx, int64_t ldy, int64_t c, int64_t rows) {
    return ldx == c && ldy == c && c <= WIDE / 2 ? min64(WIDE / c, rows) : 1;
}

/* Rows further apart than they are long are asked for before their time, short ones more rows ahead: the processor foresees only
 * what lies end to end. */
INLINE void foresee(int dt, const void *x, int64_t ldx, int64_t c) {
    if (ldx == c) return;
    enum { AHEAD = 2048, LEAST = 8, LINE = 64 };
    const char *row = offset(dt, x, (AHEAD / c > LEAST ? AHEAD / c : LEAST) * ldx), *end = offset(dt, row, c);
    for (; row < end; row += LINE) __builtin_prefetch(row);
}

/* One number a channel, for so many rows side by side. */
INLINE const float *repeat(const float *v, int64_t c, int64_t times, float *to) {
    if (times == 1) return v;
    for (int64_t i = 0; i < times; i++) memcpy(to + i * c, v, (size_t)c * sizeof(float));
    return to;
}

/* Adds the sums of rows side by side to those of one. */
INLINE void fold_sums(const double *wide, int64_t c, int64_t times, double *sum) {
    for (int64_t i = 0; i < times; i++)
        SIMD for (int64_t j = 0; j < c; j++) sum[j] += wide[i * c + j];
}

/* Adds float32 sums to float64 ones and clears them. */
INLINE void flush(float *restrict part, double *restrict sum, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) {
        sum[j] += part[j];
        part[j] = 0;
    }
}

/* Sums of float32 are taken in float64, four rows at a time so that they are read and written a quarter as often. */
INLINE void statistics_float(const float *x, int64_t ldx, int64_t c, double *restrict sum, double *restrict square,
                             int64_t rows) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *x0 = x + r * ldx, *x1 = x0 + ldx, *x2 = x1 + ldx, *x3 = x2 + ldx;
        SIMD for (int64_t j = 0; j < c; j++) {
            double a = x0[j], b = x1[j], d = x2[j], e = x3[j];
            sum[j] += (a + b) + (d + e);
            square[j] += (a * a + b * b) + (d * d + e * e);
        }
    }
    for (; r < rows; r++) {
        const float *x0 = x + r * ldx;
        SIMD for (int64_t j = 0; j < c; j++) {
            double a = x0[j];
            sum[j] += a;
            square[j] += a * a;
        }
    }
}

/* Sums of bfloat16, whose values are 2^16 times coarser, are taken in float32 for a few rows. */
INLINE void statistics_half(const uint16_t *x, int64_t ldx, int64_t c, double *restrict sum, double *restrict square,
                            int64_t rows) {
    float s[WIDE] = {0}, q[WIDE] = {0};
    for (int64_t first = 0; first < rows; first += DEEP) {
        int64_t r = first, last = min64(first + DEEP, rows);
        for (; r + 4 <= last; r += 4) {
            const uint16_t *x0 = x + r * ldx, *x1 = x0 + ldx, *x2 = x1 + ldx, *x3 = x2 + ldx;
            SIMD for (int64_t j = 0; j < c; j++) {
                float a = bf16_to_f32(x0[j]), b = bf16_to_f32(x1[j]), d = bf16_to_f32(x2[j]), e = bf16_to_f32(x3[j]);
                s[j] += (a + b) + (d + e);
                q[j] += (a * a + b * b) + (d * d + e * e);
            }
        }
        for (; r < last; r++)
            SIMD for (int64_t j = 0; j < c; j++) {
                float a = bf16_to_f32(x[r * ldx + j]);
                s[j] += a;
                q[j] += a * a;
            }
        flush(s, sum, c);
        flush(q, square, c);
    }
}

INLINE void statistics_rows(int dt, const void *x, int64_t ldx, int64_t c, double *sum, double *square, int64_t rows) {
    if (dt == IST_F32) {
        statistics_float(x, ldx, c, sum, square, rows);
        return;
    }
    for (int64_t b = 0; b < c; b += WIDE)
        statistics_half(offset(dt, x, b), ldx, min64(WIDE, c - b), sum + b, square + b, rows);
}

/* Adds up x and its square over the rows. */
INLINE void statistics_range(int dt, const void *x, int64_t ldx, int64_t c, double *restrict sum,
                             double *restrict square, int64_t from, int64_t to) {
    int64_t times = times_of(ldx, ldx, c, to - from), whole = (to - from) / times * times;
    x = offset(dt, x, from * ldx);
    if (times > 1) {
        double s[WIDE] = {0}, q[WIDE] = {0};
        statistics_rows(dt, x, ldx * times, c * times, s, q, whole / times);
        fold_sums(s, c, times, sum);
        fold_sums(q, c, times, square);
    } else whole = 0;
    statistics_rows(dt, offset(dt, x, whole * ldx), ldx, c, sum, square, to - from - whole);
}

/* z = (x - mean) factor + beta, one number a channel. */
typedef struct normal {
    const float *mean, *factor, *beta;
} normal;

/* Room for the numbers of rows side by side. */
typedef struct wide {
    float mean[WIDE], factor[WIDE], beta[WIDE];
} wide;

INLINE normal widen(normal k, int64_t c, int64_t times, wide *to) {
    return (normal){repeat(k.mean, c, times, to->mean), repeat(k.factor, c, times, to->factor),
                    repeat(k.beta, c, times, to->beta)};
}

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
        if (activation == IST_SILU) z = z * logistic_of(dt, z);
        store(dt, y, j, z);
    }
}

INLINE void forward_rows(int dt, int activation, const void *x, int64_t ldx, normal k, const void *residual, void *y,
                         int64_t ldy, int64_t c, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        const void *xr = offset(dt, x, r * ldx);
        void *yr = (void *)offset(dt, y, r * ldy);
        foresee(dt, xr, ldx, c);
        /* Each case on its own, so that no choice is left inside the loop. */
        if (residual) forward_row(dt, activation, xr, k, offset(dt, residual, r * ldy), yr, c);
        else forward_row(dt, activation, xr, k, NULL, yr, c);
    }
}

INLINE void forward_joined(int dt, int activation, const void *x, int64_t ldx, normal k, const void *residual, void *y,
                           int64_t ldy, int64_t c, int64_t rows) {
    wide room;
    int64_t times = times_of(ldx, ldy, c, rows), whole = rows / times * times;
    forward_rows(dt, activation, x, ldx * times, widen(k, c, times, &room), residual, y, ldy * times, c * times,
                 whole / times);
    forward_rows(dt, activation, offset(dt, x, whole * ldx), ldx, k,
                 residual ? offset(dt, residual, whole * ldy) : NULL, (void *)offset(dt, y, whole * ldy), ldy, c,
                 rows - whole);
}

INLINE void forward_range(int dt, const void *x, int64_t ldx, normal k, const void *residual, int activation, void *y,
                          int64_t ldy, int64_t c, int64_t from, int64_t to) {
    const void *xr = offset(dt, x, from * ldx), *rr = residual ? offset(dt, residual, from * ldy) : NULL;
    void *yr = (void *)offset(dt, y, from * ldy);
    if (activation == IST_RELU) forward_joined(dt, IST_RELU, xr, ldx, k, rr, yr, ldy, c, to - from);
    else if (activation == IST_SILU) forward_joined(dt, IST_SILU, xr, ldx, k, rr, yr, ldy, c, to - from);
    else forward_joined(dt, IST_NONE, xr, ldx, k, rr, yr, ldy, c, to - from);
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
    return slope == SLOPE_RELU_Z ? (z > 0 ? d : 0) : d * silu_slope(dt, z);
}

/* Sums in float64, two rows at a time for the same reason as above. */
INLINE void reduce_float(int slope, const float *x, int64_t ldx, normal k, const float *y, const float *dy, int64_t ldy,
                         double *restrict sum, double *restrict product, int64_t c, int64_t rows) {
    for (int64_t r = 0; r < rows; r += 2) {
        const float *x0 = x + r * ldx, *x1 = x0 + ldx, *y0 = y + r * ldy, *y1 = y0 + ldy, *d0 = dy + r * ldy, *d1 = d0 + ldy;
        if (r + 1 < rows)
            SIMD for (int64_t j = 0; j < c; j++) {
                float a = upstream(IST_F32, slope, x0[j], k, y0, d0, j), b = upstream(IST_F32, slope, x1[j], k, y1, d1, j);
                sum[j] += (double)a + b;
                product[j] += (double)(a * (x0[j] - k.mean[j])) + b * (x1[j] - k.mean[j]);
            }
        else
            SIMD for (int64_t j = 0; j < c; j++) {
                float a = upstream(IST_F32, slope, x0[j], k, y0, d0, j);
                sum[j] += a;
                product[j] += a * (x0[j] - k.mean[j]);
            }
    }
}

/* Sums in float32 for a few rows. */
INLINE void reduce_half(int slope, const uint16_t *x, int64_t ldx, normal k, const uint16_t *y, const uint16_t *dy,
                        int64_t ldy, double *restrict sum, double *restrict product, int64_t c, int64_t rows) {
    float s[WIDE] = {0}, p[WIDE] = {0};
    for (int64_t first = 0; first < rows; first += DEEP) {
        for (int64_t r = first; r < min64(first + DEEP, rows); r += 2) {
            const uint16_t *x0 = x + r * ldx, *x1 = x0 + ldx, *y0 = y + r * ldy, *y1 = y0 + ldy, *d0 = dy + r * ldy,
                           *d1 = d0 + ldy;
            foresee(IST_BF16, x0, ldx, c);
            foresee(IST_BF16, x1, ldx, c);
            if (r + 1 < rows)
                SIMD for (int64_t j = 0; j < c; j++) {
                    float v = bf16_to_f32(x0[j]), w = bf16_to_f32(x1[j]);
                    float a = upstream(IST_BF16, slope, v, k, y0, d0, j), b = upstream(IST_BF16, slope, w, k, y1, d1, j);
                    s[j] += a + b;
                    p[j] += a * (v - k.mean[j]) + b * (w - k.mean[j]);
                }
            else
                SIMD for (int64_t j = 0; j < c; j++) {
                    float v = bf16_to_f32(x0[j]), a = upstream(IST_BF16, slope, v, k, y0, d0, j);
                    s[j] += a;
                    p[j] += a * (v - k.mean[j]);
                }
        }
        flush(s, sum, c);
        flush(p, product, c);
    }
}

INLINE normal from_channel(normal k, int64_t b) { return (normal){k.mean + b, k.factor + b, k.beta + b}; }

INLINE void reduce_rows(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                        int64_t ldy, double *sum, double *product, int64_t c, int64_t rows) {
    if (dt == IST_F32) {
        reduce_float(slope, x, ldx, k, y, dy, ldy, sum, product, c, rows);
        return;
    }
    for (int64_t b = 0; b < c; b += WIDE)
        reduce_half(slope, offset(dt, x, b), ldx, from_channel(k, b), offset(dt, y, b), offset(dt, dy, b), ldy, sum + b,
                    product + b, min64(WIDE, c - b), rows);
}

INLINE void reduce_sloped(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                          int64_t ldy, double *sum, double *product, int64_t c, int64_t from, int64_t to) {
    int64_t times = times_of(ldx, ldy, c, to - from), whole = (to - from) / times * times;
    /* Without y the address is never read. */
    if (slope != SLOPE_RELU_Y) y = dy;
    x = offset(dt, x, from * ldx);
    y = offset(dt, y, from * ldy);
    dy = offset(dt, dy, from * ldy);
    if (times > 1) {
        wide room;
        double s[WIDE] = {0}, p[WIDE] = {0};
        reduce_rows(dt, slope, x, ldx * times, widen(k, c, times, &room), y, dy, ldy * times, s, p, c * times,
                    whole / times);
        fold_sums(s, c, times, sum);
        fold_sums(p, c, times, product);
    } else whole = 0;
    reduce_rows(dt, slope, offset(dt, x, whole * ldx), ldx, k, offset(dt, y, whole * ldy), offset(dt, dy, whole * ldy),
                ldy, sum, product, c, to - from - whole);
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

/* What a backward pass writes: dx, with `add` in it if there is any, and dresidual; either may be NULL. */
typedef struct results {
    void *dx;
    int64_t lddx;
    const void *add;
    int64_t ldadd;
    void *dresidual;
} results;

INLINE void backward_row(int dt, int slope, const void *x, normal k, const void *y, const void *dy, affine f, void *dx,
                         const void *add, void *dresidual, int64_t c) {
    const float *restrict fa = f.a, *restrict fb = f.b, *restrict fd = f.d;
    SIMD for (int64_t j = 0; j < c; j++) {
        float v = load(dt, x, j), dz = upstream(dt, slope, v, k, y, dy, j);
        if (dx) {
            float d = fa[j] * dz + (fb[j] * (v - k.mean[j]) + fd[j]);
            store(dt, dx, j, add ? d + load(dt, add, j) : d);
        }
        if (dresidual) store(dt, dresidual, j, dz);
    }
}

/* What is left of the results after so many rows. */
INLINE results after(int dt, results o, int64_t ldy, int64_t rows) {
    if (o.dx) o.dx = (void *)offset(dt, o.dx, rows * o.lddx);
    if (o.add) o.add = offset(dt, o.add, rows * o.ldadd);
    if (o.dresidual) o.dresidual = (void *)offset(dt, o.dresidual, rows * ldy);
    return o;
}

INLINE void backward_rows(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                          int64_t ldy, affine f, results o, int64_t c, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        const void *xr = offset(dt, x, r * ldx), *yr = offset(dt, y, r * ldy), *dr = offset(dt, dy, r * ldy);
        results q = after(dt, o, ldy, r);
        foresee(dt, xr, ldx, c);
        if (q.add) foresee(dt, q.add, o.ldadd, c);
        /* Each case on its own, so that no choice is left inside the loop. */
        if (q.dx && q.dresidual && q.add) backward_row(dt, slope, xr, k, yr, dr, f, q.dx, q.add, q.dresidual, c);
        else if (q.dx && q.dresidual) backward_row(dt, slope, xr, k, yr, dr, f, q.dx, NULL, q.dresidual, c);
        else if (q.dx && q.add) backward_row(dt, slope, xr, k, yr, dr, f, q.dx, q.add, NULL, c);
        else if (q.dx) backward_row(dt, slope, xr, k, yr, dr, f, q.dx, NULL, NULL, c);
        else backward_row(dt, slope, xr, k, yr, dr, f, NULL, NULL, q.dresidual, c);
    }
}

INLINE void backward_sloped(int dt, int slope, const void *x, int64_t ldx, normal k, const void *y, const void *dy,
                            int64_t ldy, affine f, results o, int64_t c, int64_t from, int64_t to) {
    int64_t times = o.lddx == c && o.ldadd == c ? times_of(ldx, ldy, c, to - from) : 1;
    int64_t whole = (to - from) / times * times;
    wide room;
    float a[WIDE], b[WIDE], d[WIDE];
    affine g = {(float *)repeat(f.a, c, times, a), (float *)repeat(f.b, c, times, b), (float *)repeat(f.d, c, times, d)};
    if (slope != SLOPE_RELU_Y) y = dy;
    x = offset(dt, x, from * ldx);
    y = offset(dt, y, from * ldy);
    dy = offset(dt, dy, from * ldy);
    o = after(dt, o, ldy, from);
    results long_rows = {o.dx, o.lddx * times, o.add, o.ldadd * times, o.dresidual};
    normal n = widen(k, c, times, &room);
    /* In a loop, so that there is one copy of the code. */
    for (int rest = 0; rest < 2; rest++) {
        int64_t rows = rest ? to - from - whole : whole / times, first = rest ? whole : 0, wide = rest ? 1 : times;
        backward_rows(dt, slope, offset(dt, x, first * ldx), ldx * wide, rest ? k : n, offset(dt, y, first * ldy),
                      offset(dt, dy, first * ldy), ldy * wide, rest ? f : g, rest ? after(dt, o, ldy, whole) : long_rows,
                      c * wide, rows);
    }
}

INLINE void backward_range(int dt, const void *x, int64_t ldx, normal k, const void *y, const void *dy, int64_t ldy,
                           int slope, affine f, results o, int64_t c, int64_t from, int64_t to) {
    SLOPED(slope, backward_sloped, dt, x, ldx, k, y, dy, ldy, f, o, c, from, to);
}

#endif
