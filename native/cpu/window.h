/* Walking windows over depth, height and width. */
#ifndef IST_WINDOW_H
#define IST_WINDOW_H

#include "kernel.h"

INLINE int64_t volume(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

INLINE void unravel(int64_t at, const int64_t shape[3], int64_t pos[3]) {
    pos[2] = at % shape[2];
    pos[1] = at / shape[2] % shape[1];
    pos[0] = at / shape[2] / shape[1];
}

/* Along one axis: the input position under tap k of the window at output position o, or -1 if it is padding. */
INLINE int64_t input_under(const ist_window *w, int axis, int64_t o, int64_t k) {
    int64_t p = o * w->stride[axis] - w->padding[axis] + k * w->dilation[axis];
    return p < w->in[axis] ? p : -1;
}

/* Along one axis: the output position whose tap k lies over input position i, or -1 if there is none. */
INLINE int64_t output_over(const ist_window *w, int axis, int64_t i, int64_t k) {
    int64_t p = i + w->padding[axis] - k * w->dilation[axis], stride = w->stride[axis];
    if (p < 0 || (stride > 1 && p % stride)) return -1;
    p /= stride;
    return p < w->out[axis] ? p : -1;
}

/* Runs the statements for every tap of the window at pos that lies on something, with its number and where it lies:
 * from is input_under with shape w->in, or output_over with w->out. */
#define EACH_TAP(w, pos, from, shape, ...) \
    for (int64_t k0 = 0; k0 < (w)->kernel[0]; k0++) { \
        int64_t p0 = from(w, 0, (pos)[0], k0); \
        if (p0 < 0) continue; \
        for (int64_t k1 = 0; k1 < (w)->kernel[1]; k1++) { \
            int64_t p1 = from(w, 1, (pos)[1], k1); \
            if (p1 < 0) continue; \
            for (int64_t k2 = 0; k2 < (w)->kernel[2]; k2++) { \
                int64_t p2 = from(w, 2, (pos)[2], k2); \
                if (p2 < 0) continue; \
                int64_t tap = (k0 * (w)->kernel[1] + k1) * (w)->kernel[2] + k2; \
                int64_t at = (p0 * (shape)[1] + p1) * (shape)[2] + p2; \
                __VA_ARGS__ \
            } \
        } \
    }

static inline int window_check(const char *call, const ist_window *w) {
    for (int d = 0; d < 3; d++) {
        int64_t reach = w->dilation[d] * (w->kernel[d] - 1);
        if (w->in[d] < 1 || w->out[d] < 1 || w->kernel[d] < 1 || w->stride[d] < 1 || w->padding[d] < 0 ||
            w->dilation[d] < 1 || (w->out[d] - 1) * w->stride[d] - w->padding[d] + reach >= w->in[d] + w->padding[d])
            return ist_fail(IST_INVALID_ARGUMENT,
                            "%s: axis %d of the window does not fit: in %lld, out %lld, kernel %lld, stride %lld, "
                            "padding %lld, dilation %lld",
                            call, d, (long long)w->in[d], (long long)w->out[d], (long long)w->kernel[d],
                            (long long)w->stride[d], (long long)w->padding[d], (long long)w->dilation[d]);
    }
    if (w->batch < 0 || w->channels < 1)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: batch %lld, channels %lld", call, (long long)w->batch,
                        (long long)w->channels);
    return IST_OK;
}

#define REQUIRE_WINDOW(w) \
    do { \
        int status_ = window_check(__func__, w); \
        if (status_) return status_; \
    } while (0)

/* Channels are walked in blocks that stay in registers or the first cache. */
#define CHANNELS 64

#endif
