/* Channels side by side, and one factor a channel (squeeze-excite). */
#include "kernel.cuh"

/* y[r, 0..c) = x[r, 0..c); rows are ldx and ldy apart. */
template <class T, int V> INLINE void copy_columns(const T *x, i64 ldx, T *y, i64 ldy, i64 rows, i64 c) {
    i64 packs = c / V;
    EACH(i, rows * packs) put_pack(y, i / packs * ldy + i % packs * V, pack_at<T, V>(x, i / packs * ldx + i % packs * V));
}

/* y[n,s,c] = x[n,s,c] f[n,c]. */
template <class T> INLINE void scale_channels(const T *x, const T *f, T *y, i64 n, i64 s, i64 c) {
    EACH(i, n * s * c) y[i] = from_float<T>(to_float(x[i]) * to_float(f[i / c / s * c + i % c]));
}

/* dx = dy f, df[n,c] = sum over s of dy x. A block has 32 channels of one sample; blocks: x along channels, y a sample. */
template <class T> INLINE void scale_channels_backward(const T *x, const T *f, const T *dy, T *dx, T *df, i64 s, i64 c) {
    __shared__ float parts[THREADS];
    i64 channel = blockIdx.x * 32 + threadIdx.x % 32, sample = blockIdx.y;
    float part = 0;
    if (channel < c) {
        float factor = to_float(f[sample * c + channel]);
        for (i64 r = threadIdx.x / 32; r < s; r += THREADS / 32) {
            i64 at = (sample * s + r) * c + channel;
            float d = to_float(dy[at]);
            part += d * to_float(x[at]);
            dx[at] = from_float<T>(d * factor);
        }
    }
    parts[threadIdx.x] = part;
    __syncthreads();
    if (threadIdx.x >= 32 || channel >= c) return;
    for (int i = 1; i < THREADS / 32; i++) part += parts[threadIdx.x + 32 * i];
    df[sample * c + channel] = from_float<T>(part);
}

#define CHANNELS(S, T) \
    KERNEL copy_columns_##S##_v1(const T *x, i64 ldx, T *y, i64 ldy, i64 rows, i64 c) { \
        copy_columns<T, 1>(x, ldx, y, ldy, rows, c); \
    } \
    HOST_KERNEL(copy_columns_##S##_v1) \
    KERNEL copy_columns_##S##_wide(const T *x, i64 ldx, T *y, i64 ldy, i64 rows, i64 c) { \
        copy_columns<T, Widest<T>::V>(x, ldx, y, ldy, rows, c); \
    } \
    HOST_KERNEL(copy_columns_##S##_wide) \
    KERNEL scale_channels_##S(const T *x, const T *f, T *y, i64 n, i64 s, i64 c) { scale_channels(x, f, y, n, s, c); } \
    HOST_KERNEL(scale_channels_##S) \
    KERNEL scale_channels_backward_##S(const T *x, const T *f, const T *dy, T *dx, T *df, i64 s, i64 c) { \
        scale_channels_backward(x, f, dy, dx, df, s, c); \
    } \
    HOST_KERNEL_SYNC(scale_channels_backward_##S)
EVERY_TYPE(CHANNELS)
