/* What the convolution with one tap and its data gradient share. */
#ifndef IST_POINTWISE_H
#define IST_POINTWISE_H

#include "norm_input.h"

/* Channels are taken in blocks of so many. */
#define BLOCK 32

static inline int pointwise_check(const char *call, int64_t pixels, int64_t c, int64_t k) {
    int status = bf16_check(call);
    if (status) return status;
    if (pixels < 1 || c < 1 || k < 1 || c % BLOCK || k % BLOCK)
        return ist_fail(IST_INVALID_ARGUMENT, "%s: %lld pixels, %lld channels to %lld; this is for multiples of %d channels",
                        call, (long long)pixels, (long long)c, (long long)k, BLOCK);
    return IST_OK;
}

INLINE int64_t over(int64_t a, int64_t b) { return (a + b - 1) / b; }

#endif
