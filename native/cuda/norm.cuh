/* What the passes of normalisations share: activations, where a thread stands, sums over rows, the backward passes.
 * Threads: x along channels (V at a time), y along rows; blocks: x along channels, y splits the rows, z a sample. Sums go
 * to partial[sample][split][2][c] and are added in a fixed order, so the same input gives the same bits. Rows of x, of dx and of
 * what is added to it may lie further apart than they are long. */
#ifndef ISTHMUS_NORM_CUH
#define ISTHMUS_NORM_CUH
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

/* Adds two numbers over the block's threads of one x, of which there are a power of two; all of them get the sums, the same
 * bits every time. All threads must come here. */
INLINE void add_along_y(double *a, double *b) {
    __shared__ double parts[2 * THREADS];
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    parts[at] = *a;
    parts[THREADS + at] = *b;
    __syncthreads();
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y < half) {
            parts[at] += parts[at + half * blockDim.x];
            parts[THREADS + at] += parts[THREADS + at + half * blockDim.x];
        }
        __syncthreads();
    }
    *a = parts[threadIdx.x];
    *b = parts[THREADS + threadIdx.x];
}

/* A normalisation's numbers: a (sample, group) pair's statistics, a channel's scale and shift. */
struct Normal {
    const float *mean, *variance, *gamma, *beta;
    float epsilon;
    i64 groups;
};

/* A thread's channels of them: h = (x - m) inverse, z = h g + shift. */
template <int V> struct Numbers {
    float m[V], inverse[V], g[V], shift[V];

    INLINE_MEMBER void start(const Normal &n, const Place &p, i64 c) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            i64 at = p.sample * n.groups + (p.channel + j) / (c / n.groups);
            m[j] = n.mean[at];
            inverse[j] = 1 / sqrtf(n.variance[at] + n.epsilon);
            g[j] = n.gamma[p.channel + j];
            shift[j] = n.beta[p.channel + j];
        }
    }
};

/* What reaches a normalisation's result: dy. */
template <class T, int V> struct Upstream {
    const T *dy;

    INLINE_MEMBER void start(const Place &p, i64 rows, i64 c) { dy += p.sample * rows * c + p.channel; }

    /* That of a row; asked for in the order of a thread's rows. */
    INLINE_MEMBER void next(i64 row, i64 c, float *d) {
        Pack<T, V> in = pack_at<T, V>(dy, row * c);
#pragma unroll
        for (int j = 0; j < V; j++) d[j] = to_float(in.v[j]);
    }
};

/* Sums of dz and dz h, dz = d activation'(z). y: the forward result, whose sign tells ReLU's slope; null: z is made again
 * from x. */
template <class T, int V, class U>
INLINE void backward_sums(const T *x, i64 ldx, const T *y, U upstream, const Normal &n, int activation, i64 rows, i64 c,
                          float *partial) {
    Place p = place<V>();
    float a[V], b[V];
#pragma unroll
    for (int j = 0; j < V; j++) a[j] = b[j] = 0;
    if (p.channel < c) {
        Numbers<V> k;
        k.start(n, p, c);
        upstream.start(p, rows, c);
        const T *from = x + p.sample * rows * ldx + p.channel;
        i64 out = p.sample * rows * c + p.channel;
        for (i64 r = p.row; r < rows; r += p.step) {
            Pack<T, V> row = pack_at<T, V>(from, r * ldx), o;
            float d[V];
            upstream.next(r, c, d);
            if (y) o = pack_at<T, V>(y, out + r * c);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float h = (to_float(row.v[j]) - k.m[j]) * k.inverse[j];
                float dz = d[j] * slope(activation, y ? to_float(o.v[j]) : h * k.g[j] + k.shift[j]);
                a[j] += dz;
                b[j] += dz * h;
            }
        }
    }
    write_sums<V>(a, b, partial, c);
}

/* dx = (gamma dz - first - h second) / sqrt(variance + epsilon) (+ add); dresidual = dz. dx may lie where dy or add does. */
template <class T, int V, class U>
INLINE void backward_apply(const T *x, i64 ldx, const T *y, U upstream, const Normal &n, int activation,
                           const float *coefficient, const T *add, i64 ldadd, T *dx, i64 lddx, T *dresidual, i64 rows,
                           i64 c) {
    Place p = place<V>();
    if (p.channel >= c) return;
    Numbers<V> k;
    float first[V], second[V];
    k.start(n, p, c);
    upstream.start(p, rows, c);
#pragma unroll
    for (int j = 0; j < V; j++) {
        i64 at = p.sample * n.groups + (p.channel + j) / (c / n.groups);
        first[j] = coefficient[at];
        second[j] = coefficient[gridDim.z * n.groups + at];
    }
    i64 top = p.sample * rows;
    for (i64 r = p.row; r < rows; r += p.step) {
        Pack<T, V> row = pack_at<T, V>(x, (top + r) * ldx + p.channel), o, more, rx, rz;
        float d[V];
        upstream.next(r, c, d);
        if (y) o = pack_at<T, V>(y, (top + r) * c + p.channel);
        if (add) more = pack_at<T, V>(add, (top + r) * ldadd + p.channel);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float h = (to_float(row.v[j]) - k.m[j]) * k.inverse[j];
            float dz = d[j] * slope(activation, y ? to_float(o.v[j]) : h * k.g[j] + k.shift[j]);
            float v = (k.g[j] * dz - first[j] - h * second[j]) * k.inverse[j];
            rz.v[j] = from_float<T>(dz);
            rx.v[j] = from_float<T>(add ? v + to_float(more.v[j]) : v);
        }
        put_pack(dx, (top + r) * lddx + p.channel, rx);
        if (dresidual) put_pack(dresidual, (top + r) * c + p.channel, rz);
    }
}
#endif
