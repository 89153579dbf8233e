/* Pooling over depth, height and width, channels-last; in two dimensions depth is 1. The backward passes gather: each
 * place of dx looks at the windows that cover it, so the same input gives the same bits. Rows of x (or dx) and y (or dy), each
 * one position's channels, are ldx and ldy apart. */
#include "kernel.cuh"
#include "window.cuh"

template <class T> INLINE void max_pool(const Window &w, const T *x, i64 ldx, T *y, i64 ldy, unsigned char *position) {
    EACH(i, outputs(w) * w.channels) {
        At o = output_at(w, i / w.channels);
        float best = -INFINITY_F;
        int where = 0, tap = 0;
        bool any = false;
        EACH_TAP(w, k) {
            i64 from = input_of(w, o, k);
            if (from >= 0) {
                float v = to_float(x[from * ldx + i % w.channels]);
                if (!any || v > best || v != v) {
                    best = v;
                    where = tap;
                    any = true;
                    if (v != v) break;
                }
            }
            tap++;
        }
        y[i / w.channels * ldy + i % w.channels] = from_float<T>(best);
        if (position) position[i] = (unsigned char)where;
    }
}

template <class T> INLINE void max_pool_backward(const Window &w, const T *dy, i64 ldy, const unsigned char *position, T *dx, i64 ldx) {
    EACH(i, inputs(w) * w.channels) {
        At in = input_at(w, i / w.channels);
        float sum = 0;
        int tap = 0;
        EACH_TAP(w, k) {
            i64 to = output_of(w, in, k);
            if (to >= 0 && position[to * w.channels + i % w.channels] == tap)
                sum += to_float(dy[to * ldy + i % w.channels]);
            tap++;
        }
        dx[i / w.channels * ldx + i % w.channels] = from_float<T>(sum);
    }
}

template <class T> INLINE void avg_pool(const Window &w, const T *x, i64 ldx, T *y, i64 ldy) {
    float share = 1.0f / ((float)w.kernel[0] * w.kernel[1] * w.kernel[2]);
    EACH(i, outputs(w) * w.channels) {
        At o = output_at(w, i / w.channels);
        float sum = 0;
        EACH_TAP(w, k) {
            i64 from = input_of(w, o, k);
            if (from >= 0) sum += to_float(x[from * ldx + i % w.channels]);
        }
        y[i / w.channels * ldy + i % w.channels] = from_float<T>(sum * share);
    }
}

template <class T> INLINE void avg_pool_backward(const Window &w, const T *dy, i64 ldy, T *dx, i64 ldx) {
    float share = 1.0f / ((float)w.kernel[0] * w.kernel[1] * w.kernel[2]);
    EACH(i, inputs(w) * w.channels) {
        At in = input_at(w, i / w.channels);
        float sum = 0;
        EACH_TAP(w, k) {
            i64 to = output_of(w, in, k);
            if (to >= 0) sum += to_float(dy[to * ldy + i % w.channels]);
        }
        dx[i / w.channels * ldx + i % w.channels] = from_float<T>(sum * share);
    }
}

#define POOL(S, T) \
    KERNEL max_pool_##S(Window w, const T *x, i64 ldx, T *y, i64 ldy, unsigned char *position) { \
        max_pool(w, x, ldx, y, ldy, position); \
    } \
    HOST_KERNEL(max_pool_##S) \
    KERNEL max_pool_backward_##S(Window w, const T *dy, i64 ldy, const unsigned char *position, T *dx, i64 ldx) { \
        max_pool_backward(w, dy, ldy, position, dx, ldx); \
    } \
    HOST_KERNEL(max_pool_backward_##S) \
    KERNEL avg_pool_##S(Window w, const T *x, i64 ldx, T *y, i64 ldy) { avg_pool(w, x, ldx, y, ldy); } \
    HOST_KERNEL(avg_pool_##S) \
    KERNEL avg_pool_backward_##S(Window w, const T *dy, i64 ldy, T *dx, i64 ldx) { \
        avg_pool_backward(w, dy, ldy, dx, ldx); \
    } \
    HOST_KERNEL(avg_pool_backward_##S) \
    KERNEL global_avg_pool_##S(const T *x, T *y, i64 n, i64 s, i64 c) { \
        EACH(i, n * c) { \
            const T *from = x + i / c * s * c + i % c; \
            float sum = 0; \
            for (i64 k = 0; k < s; k++) sum += to_float(from[k * c]); \
            y[i] = from_float<T>(sum / s); \
        } \
    } \
    HOST_KERNEL(global_avg_pool_##S) \
    KERNEL global_avg_pool_backward_##S(const T *dy, T *dx, i64 n, i64 s, i64 c) { \
        EACH(i, n * s * c) dx[i] = from_float<T>(to_float(dy[i / c / s * c + i % c]) / s); \
    } \
    HOST_KERNEL(global_avg_pool_backward_##S)
EVERY_TYPE(POOL)
