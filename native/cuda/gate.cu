/* Batch normalisation and an activation, A = activation(z), before squeeze-and-excitation (Hu et al. 2017), which reads A twice:
 * its means, and A times a factor. A is made again from x wherever it is read. */
#include "norm.cuh"

/* z = x scale + shift with a thread's channels. Statistics are the batch's. */
template <int V> struct Affine {
    float scale[V], shift[V];

    INLINE_MEMBER void start(const Normal &n, const Place &p) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            i64 channel = p.channel + j;
            scale[j] = n.gamma[channel] / sqrtf(n.variance[channel] + n.epsilon);
            shift[j] = n.beta[channel] - n.mean[channel] * scale[j];
        }
    }
};

/* Sums over a sample's rows of A, or of dy A; the second sum is not used. */
template <class T, int V>
INLINE void gate_sums(const T *x, const T *dy, const Normal &n, int activation, i64 rows, i64 c, float *partial) {
    Place p = place<V>();
    float a[V], none[V];
#pragma unroll
    for (int j = 0; j < V; j++) a[j] = none[j] = 0;
    if (p.channel < c) {
        Affine<V> k;
        k.start(n, p);
        i64 at = p.sample * rows * c + p.channel;
        for (i64 r = p.row; r < rows; r += p.step) {
            Pack<T, V> row = pack_at<T, V>(x, at + r * c), d;
            if (dy) d = pack_at<T, V>(dy, at + r * c);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float v = activate(activation, to_float(row.v[j]) * k.scale[j] + k.shift[j]);
                a[j] += dy ? v * to_float(d.v[j]) : v;
            }
        }
    }
    write_sums<V>(a, none, partial, c);
}

/* y = A s. */
template <class T, int V>
INLINE void gate_scale(const T *x, const Normal &n, int activation, const T *s, T *y, i64 rows, i64 c) {
    Place p = place<V>();
    if (p.channel >= c) return;
    Affine<V> k;
    k.start(n, p);
    Pack<T, V> factor = pack_at<T, V>(s, p.sample * c + p.channel);
    i64 at = p.sample * rows * c + p.channel;
    for (i64 r = p.row; r < rows; r += p.step) {
        Pack<T, V> row = pack_at<T, V>(x, at + r * c), out;
#pragma unroll
        for (int j = 0; j < V; j++) {
            float z = to_float(row.v[j]) * k.scale[j] + k.shift[j];
            out.v[j] = from_float<T>(activate(activation, z) * to_float(factor.v[j]));
        }
        put_pack(y, at + r * c, out);
    }
}

/* What reaches A through both its readers: dy s + dp / positions. All samples' rows are one run of them. */
template <class T, int V> struct Gated {
    const T *dy, *s, *dp;
    i64 positions, sample, position, samples, rest;
    float share;

    INLINE_MEMBER void start(const Place &p, i64, i64) {
        dy += p.channel;
        s += p.channel;
        dp += p.channel;
        sample = p.row / positions;
        position = p.row % positions;
        samples = p.step / positions;
        rest = p.step % positions;
        share = 1 / (float)positions;
    }

    INLINE_MEMBER void next(i64 row, i64 c, float *d) {
        Pack<T, V> in = pack_at<T, V>(dy, row * c), factor = pack_at<T, V>(s, sample * c);
        Pack<T, V> mean = pack_at<T, V>(dp, sample * c);
#pragma unroll
        for (int j = 0; j < V; j++) d[j] = to_float(in.v[j]) * to_float(factor.v[j]) + to_float(mean.v[j]) * share;
        sample += samples;
        position += rest;
        if (position >= positions) {
            position -= positions;
            sample++;
        }
    }
};

#define NUMBERS const float *mean, const float *variance, const float *gamma, const float *beta, float epsilon
#define GATE(S, T) \
    KERNEL gate_finish_##S(const float *partial, i64 splits, i64 samples, i64 c, float factor, T *sums) { \
        EACH(i, samples * c) { \
            float sum = 0; \
            for (i64 k = 0; k < splits; k++) sum += partial[(i / c * splits + k) * 2 * c + i % c]; \
            sums[i] = from_float<T>(sum * factor); \
        } \
    } \
    HOST_KERNEL(gate_finish_##S) \
    GATE_PACKED(S, T, v1, 1) GATE_PACKED(S, T, wide, Widest<T>::V)
#define GATE_PACKED(S, T, W, V) \
    KERNEL gate_sums_##S##_##W(const T *x, const T *dy, NUMBERS, int activation, i64 rows, i64 c, float *partial) { \
        Normal n = {mean, variance, gamma, beta, epsilon, c}; \
        gate_sums<T, V>(x, dy, n, activation, rows, c, partial); \
    } \
    HOST_KERNEL_SYNC(gate_sums_##S##_##W) \
    KERNEL gate_scale_##S##_##W(const T *x, NUMBERS, int activation, const T *s, T *y, i64 rows, i64 c) { \
        Normal n = {mean, variance, gamma, beta, epsilon, c}; \
        gate_scale<T, V>(x, n, activation, s, y, rows, c); \
    } \
    HOST_KERNEL(gate_scale_##S##_##W) \
    KERNEL gate_backward_sums_##S##_##W(const T *x, const T *dy, const T *s, const T *dp, i64 positions, NUMBERS, \
                                        int activation, i64 rows, i64 c, float *partial) { \
        Gated<T, V> d = {dy, s, dp, positions, 0, 0, 0, 0, 0}; \
        Normal n = {mean, variance, gamma, beta, epsilon, c}; \
        backward_sums<T, V>(x, c, (const T *)0, d, n, activation, rows, c, partial); \
    } \
    HOST_KERNEL_SYNC(gate_backward_sums_##S##_##W) \
    KERNEL gate_backward_apply_##S##_##W(const T *x, const T *dy, const T *s, const T *dp, i64 positions, NUMBERS, \
                                         int activation, const float *coefficient, T *dx, i64 rows, i64 c) { \
        Gated<T, V> d = {dy, s, dp, positions, 0, 0, 0, 0, 0}; \
        Normal n = {mean, variance, gamma, beta, epsilon, c}; \
        backward_apply<T, V>(x, c, (const T *)0, d, n, activation, coefficient, (const T *)0, 0, dx, c, (T *)0, rows, \
                             c); \
    } \
    HOST_KERNEL(gate_backward_apply_##S##_##W)
EVERY_TYPE(GATE)
