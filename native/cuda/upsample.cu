/* Upsampling, nearest and linear (half-pixel centres), channels-last. The backward pass gathers: each input place adds up
 * the outputs that read it, so the same input gives the same bits. */
#include "kernel.cuh"
#include "window.cuh"

/* The lower place that an output reads along an axis, and the share of the one after it. */
INLINE int lower(int linear, int o, int in, int out, float *rest) {
    *rest = 0;
    if (!linear) return (int)((i64)o * in / out);
    double at = (o + 0.5) * in / out - 0.5;
    at = at > 0 ? at : 0;
    int low = (int)at;
    if (low + 1 < in) *rest = (float)(at - low);
    return low;
}

/* How much output o reads of input i. */
INLINE float share(int linear, int o, int i, int in, int out) {
    float rest;
    int low = lower(linear, o, in, out, &rest);
    return low == i ? 1 - rest : low + 1 == i ? rest : 0;
}

/* Outputs that may read input i: from, up to and with, to. */
INLINE void readers(int i, int in, int out, int *from, int *to) {
    *from = (int)((i - 1.0) * out / in) - 1;
    *to = (int)((i + 2.0) * out / in) + 1;
    if (*from < 0) *from = 0;
    if (*to >= out) *to = out - 1;
}

template <class T> INLINE void upsample(const Window &w, int linear, const T *x, T *y) {
    EACH(i, outputs(w) * w.channels) {
        At o = output_at(w, i / w.channels);
        int low[3];
        float rest[3], sum = 0;
#pragma unroll
        for (int a = 0; a < 3; a++) low[a] = lower(linear, o.p[a], w.in[a], w.out[a], &rest[a]);
#pragma unroll
        for (int corner = 0; corner < 8; corner++) {
            float weight = 1;
            i64 row = o.n;
#pragma unroll
            for (int a = 0; a < 3; a++) {
                int up = corner >> a & 1;
                weight *= up ? rest[a] : 1 - rest[a];
                row = row * w.in[a] + low[a] + up;
            }
            if (weight > 0) sum += weight * to_float(x[row * w.channels + i % w.channels]);
        }
        y[i] = from_float<T>(sum);
    }
}

template <class T> INLINE void upsample_backward(const Window &w, int linear, const T *dy, T *dx) {
    EACH(i, inputs(w) * w.channels) {
        At in = input_at(w, i / w.channels);
        int from[3], to[3];
#pragma unroll
        for (int a = 0; a < 3; a++) readers(in.p[a], w.in[a], w.out[a], &from[a], &to[a]);
        float sum = 0;
        for (int d = from[0]; d <= to[0]; d++) {
            float wd = share(linear, d, in.p[0], w.in[0], w.out[0]);
            for (int h = from[1]; wd > 0 && h <= to[1]; h++) {
                float wh = wd * share(linear, h, in.p[1], w.in[1], w.out[1]);
                for (int v = from[2]; wh > 0 && v <= to[2]; v++) {
                    float weight = wh * share(linear, v, in.p[2], w.in[2], w.out[2]);
                    i64 row = (((i64)in.n * w.out[0] + d) * w.out[1] + h) * w.out[2] + v;
                    if (weight > 0) sum += weight * to_float(dy[row * w.channels + i % w.channels]);
                }
            }
        }
        dx[i] = from_float<T>(sum);
    }
}

#define UPSAMPLE(S, T) \
    KERNEL upsample_##S(Window w, int linear, const T *x, T *y) { upsample(w, linear, x, y); } \
    HOST_KERNEL(upsample_##S) \
    KERNEL upsample_backward_##S(Window w, int linear, const T *dy, T *dx) { upsample_backward(w, linear, dy, dx); } \
    HOST_KERNEL(upsample_backward_##S)
EVERY_TYPE(UPSAMPLE)
