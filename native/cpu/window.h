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

/* The input position under tap k of the window at output position o, or -1 if it lies in the padding. */
INLINE int64_t input_under(const ist_window *w, const int64_t o[3], const int64_t k[3]) {
    int64_t at = 0;
    for (int d = 0; d < 3; d++) {
        int64_t p = o[d] * w->stride[d] - w->padding[d] + k[d] * w->dilation[d];
        if (p < 0 || p >= w->in[d]) return -1;
        at = at * w->in[d] + p;
    }
    return at;
}

/* The output position whose tap k lies over input position i, or -1 if there is none. */
INLINE int64_t output_over(const ist_window *w, const int64_t i[3], const int64_t k[3]) {
    int64_t at = 0;
    for (int d = 0; d < 3; d++) {
        int64_t p = i[d] + w->padding[d] - k[d] * w->dilation[d];
        if (p < 0 || p % w->stride[d] || p / w->stride[d] >= w->out[d]) return -1;
        at = at * w->out[d] + p / w->stride[d];
    }
    return at;
}

static inline int window_check(const char *call, const ist_window *w) {
    for (int d = 0; d < 3; d++) {
        int64_t reach = w->dilation[d] * (w->kernel[d] - 1);
        if (w->in[d] < 1 || w->out[d] < 1 || w->kernel[d] < 1 || w->stride[d] < 1 || w->padding[d] < 0 ||
            w->dilation[d] < 1 || (w->out[d] - 1) * w->stride[d] - w->padding[d] + reach >= w->in[d] + w->padding[d])
            return ist_fail(IST_INVALID_ARGUMENT,
                            "%s: axis %d of the window does not fit: in %lld, out %lld, kernel %lld, stride %lld, padding "
                            "%lld, dilation %lld",
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
