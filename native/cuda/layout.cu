/* Changes of order: channels first and last, for flattening and for weights ([O,I,taps] in the buffer, [O,taps,I] for
 * convolutions); sums of columns, and a bias for each column. */
#include "kernel.cuh"

/* x [n,s,c] -> y [n,c,s]. */
template <class T, class U> INLINE void channels_first(const T *x, U *y, i64 n, i64 s, i64 c) {
    EACH(i, n * s * c) {
        i64 at = i % s, channel = i / s % c, sample = i / s / c;
        y[i] = from_float<U>(to_float(x[(sample * s + at) * c + channel]));
    }
}

/* x [n,c,s] -> y [n,s,c]. */
template <class T, class U> INLINE void channels_last(const T *x, U *y, i64 n, i64 s, i64 c) {
    EACH(i, n * s * c) {
        i64 channel = i % c, at = i / c % s, sample = i / c / s;
        y[i] = from_float<U>(to_float(x[(sample * c + channel) * s + at]));
    }
}

#define LAYOUT(S, T) LAYOUT_TO(S, T, f32, float) LAYOUT_TO(S, T, f16, f16) LAYOUT_TO(S, T, bf16, bf16)
#define LAYOUT_TO(S, T, R, U) \
    KERNEL channels_first_##S##_##R(const T *x, U *y, i64 n, i64 s, i64 c) { channels_first(x, y, n, s, c); } \
    HOST_KERNEL(channels_first_##S##_##R) \
    KERNEL channels_last_##S##_##R(const T *x, U *y, i64 n, i64 s, i64 c) { channels_last(x, y, n, s, c); } \
    HOST_KERNEL(channels_last_##S##_##R)
EVERY_TYPE(LAYOUT)

/* Sums of one column by one block, over all rows; the same bits every time. */
template <class T> INLINE void column_sum(const T *x, i64 ldx, float *sum, i64 rows, i64 c) {
    i64 column = blockIdx.x * 32 + threadIdx.x % 32;
    double part = 0;
    if (column < c)
        for (i64 r = threadIdx.x / 32; r < rows; r += THREADS / 32) part += to_float(x[r * ldx + column]);
    __shared__ double parts[THREADS];
    parts[threadIdx.x] = part;
    __syncthreads();
    if (threadIdx.x >= 32 || column >= c) return;
    for (int i = 1; i < THREADS / 32; i++) part += parts[threadIdx.x + 32 * i];
    sum[column] = (float)part;
}

#define COLUMNS(S, T) \
    KERNEL column_sum_##S(const T *x, i64 ldx, float *sum, i64 rows, i64 c) { column_sum(x, ldx, sum, rows, c); } \
    HOST_KERNEL_SYNC(column_sum_##S) \
    KERNEL add_bias_##S(const T *x, const float *bias, T *y, i64 rows, i64 c) { \
        EACH(i, rows * c) y[i] = from_float<T>(to_float(x[i]) + bias[i % c]); \
    } \
    HOST_KERNEL(add_bias_##S)
EVERY_TYPE(COLUMNS)
