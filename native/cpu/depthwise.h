/*
 * Depthwise convolution: each channel by itself, so channels are the vector. A few neighbouring results of a line are
 * summed together in registers: a value of the line that was loaded once serves all taps that lie over it.
 */
#ifndef IST_DEPTHWISE_H
#define IST_DEPTHWISE_H

#include "lanes.h"
#include "window.h"

#define TILE 4        /* results of a line that are summed together */
#define MOST_TAPS 512 /* of the whole window */

/* What lies beside a line: columns of zeros, as far as a vector reads. */
static const float beside[VECS * LANES];

/* Columns of the source that several taps of a tile meet. */
#define COLUMNS(taps, step) ((TILE - 1) * (int)(step) + (taps))
#define MOST_COLUMNS 16

/* Some columns of a line: each by itself (those that do not exist are zeros), or a first one and their distance. */
typedef struct columns {
    const void *each[MOST_COLUMNS], *first;
    int64_t apart;
} columns;

INLINE const void *column(int dt, int found, const columns *x, int j) {
    return found ? x->each[j] : offset(dt, x->first, j * x->apart);
}

/* n columns from `at` on, each `step` after the one before, channel b first. found: looked up one by one. */
INLINE void find(int dt, int found, columns *x, const void *line, int64_t width, int64_t c, int64_t at, int64_t step,
                 int n, int64_t b) {
    if (found)
        for (int j = 0; j < n; j++) {
            int64_t p = at + j * step;
            x->each[j] = p >= 0 && p < width ? offset(dt, line, p * c + b) : beside;
        }
    else {
        x->first = offset(dt, line, at * c + b);
        x->apart = step * c;
    }
}

/* Calls f with taps and step as constants for the windows that networks have; all others go tap by tap. */
#define SHAPED(taps_, step_, f, dt, ...) \
    do { \
        if ((taps_) == 3 && (step_) == 1) f(dt, 3, 1, __VA_ARGS__); \
        else if ((taps_) == 3 && (step_) == 2) f(dt, 3, 2, __VA_ARGS__); \
        else if ((taps_) == 5 && (step_) == 1) f(dt, 5, 1, __VA_ARGS__); \
        else if ((taps_) == 5 && (step_) == 2) f(dt, 5, 2, __VA_ARGS__); \
        else f(dt, 1, (step_), __VA_ARGS__); \
    } while (0)

INLINE int is_shaped(int64_t taps, int64_t step, int64_t apart) {
    return (taps == 3 || taps == 5) && (step == 1 || step == 2) && apart == 1;
}

static inline int depthwise_check(const char *call, const ist_window *w) {
    int status = window_check(call, w);
    if (status) return status;
    if (w->groups != w->channels || w->out_channels != w->channels || volume(w->kernel) > MOST_TAPS ||
        (w->stride[2] > 1 && w->dilation[2] > 1))
        return ist_fail(IST_INVALID_ARGUMENT,
                        "%s: %lld channels to %lld in %lld groups, %lld taps, stride %lld, dilation %lld", call,
                        (long long)w->channels, (long long)w->out_channels, (long long)w->groups,
                        (long long)volume(w->kernel), (long long)w->stride[2], (long long)w->dilation[2]);
    return IST_OK;
}

#define REQUIRE_DEPTHWISE(w) \
    do { \
        int status_ = depthwise_check(__func__, w); \
        if (status_) return status_; \
    } while (0)

#endif
