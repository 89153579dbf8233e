/* Batch and group normalisation over channels-last rows. Both are one thing here: statistics belong to a (sample, group)
 * pair; for batch norm the whole batch is one sample and every channel a group.
 * Threads: x along channels (V at a time), y along rows; blocks: x along channels, y splits the rows, z a sample. Sums go
 * to partial[sample][split][2][c] and are added in a fixed order, so the same input gives the same bits. */
#include "kernel.cuh"

/* Activations, as in isthmus.h. */
enum { NONE = 0, RELU = 1, SILU = 2 };

INLINE float activate(int activation, float z) {
    return activation == RELU ? (z < 0 ? 0 : z) : activation == SILU ? z * sigmoid_of(z) : z;
}

INLINE float slope(int activation, float z) {
    return activation == RELU ? (z > 0 ? 1 : 0) : activation == SILU ? silu_slope(z) : 1;
}

/* Where a thread stands. */
struct Place {
    i64 channel, row, step, sample;
};

template <int V> INLINE Place place() {
    Place p;
    p.channel = (blockIdx.x * (i64)blockDim.x + threadIdx.x) * V;
    p.row = blockIdx.y * (i64)blockDim.y + threadIdx.y;
    p.step = gridDim.y * (i64)blockDim.y;
    p.sample = blockIdx.z;
    return p;
}

/* Adds the block's threads of one channel and writes the two sums of each. All threads must come here. */
template <int V> INLINE void write_sums(const float *a, const float *b, float *partial, i64 c) {
    __shared__ float parts[2 * V * THREADS];
    int width = blockDim.x * V;
    int at = threadIdx.y * 2 * width + threadIdx.x * V;
#pragma unroll
    for (int j = 0; j < V; j++) {
        parts[at + j] = a[j];
        parts[at + width + j] = b[j];
    }
    __syncthreads();
    float *out = partial + (blockIdx.z * (i64)gridDim.y + blockIdx.y) * 2 * c;
    for (int k = threadIdx.y * blockDim.x + threadIdx.x; k < 2 * width; k += blockDim.x * blockDim.y) {
        float sum = 0;
        for (int y = 0; y < blockDim.y; y++) sum += parts[y * 2 * width + k];
        i64 channel = blockIdx.x * (i64)width + k % width;
        if (channel < c) out[k / width * c + channel] = sum;
    }
}

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

/* Mean and biased variance of each (sample, group) from the sums. */
template <class T>
INLINE void statistics(const float *partial, const T *x, i64 ldx, i64 splits, i64 samples, i64 rows, i64 c, i64 groups,
                       float *mean, float *variance) {
    EACH(i, samples * groups) {
        i64 sample = i / groups, width = c / groups;
        double sum = 0, square = 0;
        for (i64 j = i % groups * width; j < (i % groups + 1) * width; j++) {
            double shift = to_float(x[sample * rows * ldx + j]), s1 = 0, s2 = 0;
            for (i64 k = 0; k < splits; k++) {
                const float *part = partial + (sample * splits + k) * 2 * c;
                s1 += part[j];
                s2 += part[c + j];
            }
            sum += s1 + rows * shift;
            square += s2 + 2 * shift * s1 + rows * shift * shift;
        }
        double count = (double)width * rows, m = sum / count, v = square / count - m * m;
        mean[i] = (float)m;
        variance[i] = (float)(v > 0 ? v : 0);
    }
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

/* Sums of dz and dz h, h = (x - mean) / sqrt(variance + epsilon), dz = dy activation'(z). y: the forward result, whose sign
 * tells ReLU's slope; null: z is made again from x. */
template <class T, int V>
INLINE void backward_sums(const T *x, i64 ldx, const T *y, const T *dy, i64 ldy, const float *mean,
                          const float *variance, i64 groups, const float *gamma, const float *beta, float epsilon,
                          int activation, i64 rows, i64 c, float *partial) {
    Place p = place<V>();
    float a[V], b[V], m[V], inverse[V], g[V], shift[V];
#pragma unroll
    for (int j = 0; j < V; j++) a[j] = b[j] = 0;
    if (p.channel < c) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            i64 at = p.sample * groups + (p.channel + j) / (c / groups);
            m[j] = mean[at];
            inverse[j] = 1 / sqrtf(variance[at] + epsilon);
            g[j] = gamma[p.channel + j];
            shift[j] = beta[p.channel + j];
        }
        const T *from = x + p.sample * rows * ldx + p.channel;
        i64 out = p.sample * rows * ldy + p.channel;
        for (i64 r = p.row; r < rows; r += p.step) {
            Pack<T, V> row = pack_at<T, V>(from, r * ldx), d = pack_at<T, V>(dy, out + r * ldy), o;
            if (y) o = pack_at<T, V>(y, out + r * ldy);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float h = (to_float(row.v[j]) - m[j]) * inverse[j];
                float dz = to_float(d.v[j]) * slope(activation, y ? to_float(o.v[j]) : h * g[j] + shift[j]);
                a[j] += dz;
                b[j] += dz * h;
            }
        }
    }
    write_sums<V>(a, b, partial, c);
}

/* dgamma, dbeta of each channel; coefficient[2][samples * groups]: the means of gamma dz and gamma dz h over the group, or 0
 * if mean and variance were constants (frozen). */
KERNEL norm_backward_finish(const float *partial, const float *gamma, i64 splits, i64 samples, i64 rows, i64 c,
                            i64 groups, int frozen, float *dgamma, float *dbeta, float *coefficient) {
    EACH(i, c + samples * groups) {
        if (i < c) {
            double first = 0, second = 0;
            for (i64 k = 0; k < samples * splits; k++) {
                first += partial[k * 2 * c + i];
                second += partial[k * 2 * c + c + i];
            }
            dbeta[i] = (float)first;
            dgamma[i] = (float)second;
            continue;
        }
        i64 at = i - c, sample = at / groups, width = c / groups;
        double first = 0, second = 0;
        for (i64 j = at % groups * width; !frozen && j < (at % groups + 1) * width; j++) {
            for (i64 k = sample * splits; k < (sample + 1) * splits; k++) {
                first += (double)gamma[j] * partial[k * 2 * c + j];
                second += (double)gamma[j] * partial[k * 2 * c + c + j];
            }
        }
        coefficient[at] = (float)(first / ((double)width * rows));
        coefficient[samples * groups + at] = (float)(second / ((double)width * rows));
    }
}
HOST_KERNEL(norm_backward_finish)

/* dx = (gamma dz - first - h second) / sqrt(variance + epsilon); dresidual = dz. Either may be null. */
template <class T, int V>
INLINE void backward_apply(const T *x, i64 ldx, const T *y, const T *dy, i64 ldy, const float *mean,
                           const float *variance, i64 groups, const float *gamma, const float *beta, float epsilon,
                           int activation, const float *coefficient, T *dx, T *dresidual, i64 rows, i64 c) {
    Place p = place<V>();
    if (p.channel >= c) return;
    float m[V], inverse[V], g[V], shift[V], first[V], second[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        i64 at = p.sample * groups + (p.channel + j) / (c / groups);
        m[j] = mean[at];
        inverse[j] = 1 / sqrtf(variance[at] + epsilon);
        g[j] = gamma[p.channel + j];
        shift[j] = beta[p.channel + j];
        first[j] = coefficient[at];
        second[j] = coefficient[gridDim.z * groups + at];
    }
    const T *from = x + p.sample * rows * ldx + p.channel;
    i64 to = p.sample * rows * ldx + p.channel, out = p.sample * rows * ldy + p.channel;
    for (i64 r = p.row; r < rows; r += p.step) {
        Pack<T, V> row = pack_at<T, V>(from, r * ldx), d = pack_at<T, V>(dy, out + r * ldy), o, rx, rz;
        if (y) o = pack_at<T, V>(y, out + r * ldy);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float h = (to_float(row.v[j]) - m[j]) * inverse[j];
            float dz = to_float(d.v[j]) * slope(activation, y ? to_float(o.v[j]) : h * g[j] + shift[j]);
            rz.v[j] = from_float<T>(dz);
            rx.v[j] = from_float<T>((g[j] * dz - first[j] - h * second[j]) * inverse[j]);
        }
        if (dx) put_pack(dx, to + r * ldx, rx);
        if (dresidual) put_pack(dresidual, out + r * ldy, rz);
    }
}

#define NORM(S, T) \
    KERNEL norm_statistics_##S(const float *partial, const T *x, i64 ldx, i64 splits, i64 samples, i64 rows, i64 c, \
                               i64 groups, float *mean, float *variance) { \
        statistics(partial, x, ldx, splits, samples, rows, c, groups, mean, variance); \
    } \
    HOST_KERNEL(norm_statistics_##S) \
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
    KERNEL norm_backward_sums_##S##_##W(const T *x, i64 ldx, const T *y, const T *dy, i64 ldy, const float *mean, \
                                        const float *variance, i64 groups, const float *gamma, const float *beta, \
                                        float epsilon, int activation, i64 rows, i64 c, float *partial) { \
        backward_sums<T, V>(x, ldx, y, dy, ldy, mean, variance, groups, gamma, beta, epsilon, activation, rows, c, \
                            partial); \
    } \
    HOST_KERNEL_SYNC(norm_backward_sums_##S##_##W) \
    KERNEL norm_backward_apply_##S##_##W(const T *x, i64 ldx, const T *y, const T *dy, i64 ldy, const float *mean, \
                                         const float *variance, i64 groups, const float *gamma, const float *beta, \
                                         float epsilon, int activation, const float *coefficient, T *dx, \
                                         T *dresidual, i64 rows, i64 c) { \
        backward_apply<T, V>(x, ldx, y, dy, ldy, mean, variance, groups, gamma, beta, epsilon, activation, \
                             coefficient, dx, dresidual, rows, c); \
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
