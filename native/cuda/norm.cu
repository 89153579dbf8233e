/* Batch and group normalisation over channels-last rows. Both are one thing here: statistics belong to a (sample, group)
 * pair; for batch norm the whole batch is one sample and every channel a group. */
#include "norm.cuh"

/* Sums of x - x0 and of its square, x0 being the sample's first row: no cancellation where the mean is large. */
template <class T, int V> INLINE void sums(const T *x, i64 ldx, i64 rows, i64 c, float *partial) {
    Place p = place<V>();
    float a[V], b[V], shift[V];
#pragma unroll
    for (int j = 0; j < V; j++) a[j] = b[j] = 0;
    if (p.channel < c) {
        const T *from = x + p.sample * rows * ldx + p.channel;
#pragma unroll
        for (int j = 0; j < V; j++) shift[j] = to_float(from[j]);
        for (i64 r = p.row; r < rows; r += p.step) {
            Pack<T, V> row = pack_at<T, V>(from, r * ldx);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float d = to_float(row.v[j]) - shift[j];
                a[j] += d;
                b[j] += d * d;
            }
        }
    }
    write_sums<V>(a, b, partial, c);
}

/* Mean and biased variance of each (sample, group) from the sums; threads: x along those, y shares the sums of each. */
template <class T>
INLINE void statistics(const float *partial, const T *x, i64 ldx, i64 splits, i64 samples, i64 rows, i64 c, i64 groups,
                       float *mean, float *variance) {
    i64 i = first_thread(), sample = i / groups, width = c / groups;
    bool mine = i < samples * groups;
    double sum = 0, square = 0;
    for (i64 t = threadIdx.y; mine && t < width * splits; t += blockDim.y) {
        i64 j = i % groups * width + t % width, split = t / width;
        const float *part = partial + (sample * splits + split) * 2 * c;
        double shift = to_float(x[sample * rows * ldx + j]), count = split == 0 ? (double)rows : 0;
        sum += part[j] + count * shift;
        square += part[c + j] + 2 * shift * part[j] + count * shift * shift;
    }
    add_along_y(&sum, &square);
    if (!mine || threadIdx.y != 0) return;
    double count = (double)width * rows, m = sum / count, v = square / count - m * m;
    mean[i] = (float)m;
    variance[i] = (float)(v > 0 ? v : 0);
}

/* z = (x - mean) / sqrt(variance + epsilon) gamma + beta (+ residual); y = activation(z). */
template <class T, int V>
INLINE void apply(const T *x, i64 ldx, const float *mean, const float *variance, i64 groups, const float *gamma,
                  const float *beta, float epsilon, const T *residual, int activation, T *y, i64 ldy, i64 rows, i64 c) {
    Place p = place<V>();
    if (p.channel >= c) return;
    float scale[V], shift[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        i64 channel = p.channel + j, g = p.sample * groups + channel / (c / groups);
        scale[j] = gamma[channel] / sqrtf(variance[g] + epsilon);
        shift[j] = beta[channel] - mean[g] * scale[j];
    }
    const T *from = x + p.sample * rows * ldx + p.channel;
    i64 out = p.sample * rows * ldy + p.channel;
    for (i64 r = p.row; r < rows; r += p.step) {
        Pack<T, V> row = pack_at<T, V>(from, r * ldx), add, z;
        if (residual) add = pack_at<T, V>(residual, out + r * ldy);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float v = to_float(row.v[j]) * scale[j] + shift[j];
            if (residual) v += to_float(add.v[j]);
            z.v[j] = from_float<T>(activate(activation, v));
        }
        put_pack(y, out + r * ldy, z);
    }
}

/* dgamma, dbeta of each channel; coefficient[2][samples * groups]: the means of gamma dz and gamma dz h over the group, or 0
 * if mean and variance were constants (frozen). Threads: x along all of these, y shares the sums of each. */
KERNEL norm_backward_finish(const float *partial, const float *gamma, i64 splits, i64 samples, i64 rows, i64 c,
                            i64 groups, int frozen, float *dgamma, float *dbeta, float *coefficient) {
    i64 i = first_thread(), at = i - c, sample = at / groups, width = c / groups;
    double first = 0, second = 0;
    if (i < c) {
        for (i64 k = threadIdx.y; k < samples * splits; k += blockDim.y) {
            first += partial[k * 2 * c + i];
            second += partial[k * 2 * c + c + i];
        }
    } else if (at < samples * groups && !frozen) {
        for (i64 t = threadIdx.y; t < width * splits; t += blockDim.y) {
            i64 j = at % groups * width + t % width;
            const float *part = partial + (sample * splits + t / width) * 2 * c;
            first += (double)gamma[j] * part[j];
            second += (double)gamma[j] * part[c + j];
        }
    }
    add_along_y(&first, &second);
    if (threadIdx.y != 0 || at >= samples * groups) return;
    if (i < c) {
        dbeta[i] = (float)first;
        dgamma[i] = (float)second;
    } else {
        coefficient[at] = (float)(first / ((double)width * rows));
        coefficient[samples * groups + at] = (float)(second / ((double)width * rows));
    }
}
HOST_KERNEL_SYNC(norm_backward_finish)

#define NORM(S, T) \
    KERNEL norm_statistics_##S(const float *partial, const T *x, i64 ldx, i64 splits, i64 samples, i64 rows, i64 c, \
                               i64 groups, float *mean, float *variance) { \
        statistics(partial, x, ldx, splits, samples, rows, c, groups, mean, variance); \
    } \
    HOST_KERNEL_SYNC(norm_statistics_##S) \
    NORM_PACKED(S, T, v1, 1) NORM_PACKED(S, T, wide, Widest<T>::V)
#define NORM_PACKED(S, T, W, V) \
    KERNEL norm_sums_##S##_##W(const T *x, i64 ldx, i64 rows, i64 c, float *partial) { \
        sums<T, V>(x, ldx, rows, c, partial); \
    } \
    HOST_KERNEL_SYNC(norm_sums_##S##_##W) \
    KERNEL norm_apply_##S##_##W(const T *x, i64 ldx, const float *mean, const float *variance, i64 groups, \
                                const float *gamma, const float *beta, float epsilon, const T *residual, \
                                int activation, \
                                T *y, i64 ldy, i64 rows, i64 c) { \
        apply<T, V>(x, ldx, mean, variance, groups, gamma, beta, epsilon, residual, activation, y, ldy, rows, c); \
    } \
    HOST_KERNEL(norm_apply_##S##_##W) \
    KERNEL norm_backward_sums_##S##_##W(const T *x, i64 ldx, const T *y, const T *dy, const float *mean, \
                                        const float *variance, i64 groups, const float *gamma, const float *beta, \
                                        float epsilon, int activation, i64 rows, i64 c, float *partial) { \
        Upstream<T, V> d = {dy}; \
        Normal n = {mean, variance, gamma, beta, epsilon, groups}; \
        backward_sums<T, V>(x, ldx, y, d, n, activation, rows, c, partial); \
    } \
    HOST_KERNEL_SYNC(norm_backward_sums_##S##_##W) \
    KERNEL norm_backward_apply_##S##_##W(const T *x, i64 ldx, const T *y, const T *dy, const float *mean, \
                                         const float *variance, i64 groups, const float *gamma, const float *beta, \
                                         float epsilon, int activation, const float *coefficient, const T *add, \
                                         i64 ldadd, T *dx, i64 lddx, T *dresidual, i64 rows, i64 c) { \
        Upstream<T, V> d = {dy}; \
        Normal n = {mean, variance, gamma, beta, epsilon, groups}; \
        backward_apply<T, V>(x, ldx, y, d, n, activation, coefficient, add, ldadd, dx, lddx, dresidual, rows, c); \
    } \
    HOST_KERNEL(norm_backward_apply_##S##_##W)
EVERY_TYPE(NORM)

/* running += momentum (batch - running), with the unbiased variance over `count` elements a channel. */
KERNEL update_statistics(const float *mean, const float *variance, float *running_mean, float *running_variance,
                         float momentum, i64 count, i64 c) {
    float unbias = count > 1 ? (float)(count / (count - 1.0)) : 1;
    EACH(i, c) {
        running_mean[i] += momentum * (mean[i] - running_mean[i]);
        running_variance[i] += momentum * (variance[i] * unbias - running_variance[i]);
    }
}
HOST_KERNEL(update_statistics)

/* dx = dy gamma / sqrt(variance + epsilon): the statistics were constants. */
#define FROZEN(S, T) \
    KERNEL frozen_norm_backward_##S(const T *dy, const float *variance, const float *gamma, float epsilon, T *dx, i64 rows, \
                                    i64 c) { \
        EACH(i, rows * c) dx[i] = from_float<T>(to_float(dy[i]) * gamma[i % c] / sqrtf(variance[i % c] + epsilon)); \
    } \
    HOST_KERNEL(frozen_norm_backward_##S)
EVERY_TYPE(FROZEN)
