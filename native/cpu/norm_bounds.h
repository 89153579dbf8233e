/*
 * Which bf16 values a norm with ReLU lets through, as bounds that are found once a channel: for those who ask of every value,
 * a comparison takes none of the multipliers' time.
 */
#ifndef IST_NORM_BOUNDS_H
#define IST_NORM_BOUNDS_H

#include "norm_input.h"

#if defined(__AVX512BF16__)
#define BF16_INFINITY 0x7f80

typedef int32_t ints __attribute__((vector_size(64)));

/* The bf16 values in their order: number 0 is zero, BF16_INFINITY is infinity, those between are finite. */
INLINE lanes bf16_numbered(ints number) {
    ints negative = number >> 31, size = (number ^ negative) - negative;
    return (lanes)(size << 16 | (negative & INT32_MIN));
}

/* a where all bits of `which` are set, b where none. */
INLINE ints chosen(ints which, ints a, ints b) { return (which & a) | (~which & b); }

/* All bits of those channels whose z > 0, decided as norm_of does. */
INLINE ints lets_through(ints number, norm_lanes n) {
    __m512 z = (__m512)norm_of(bf16_numbered(number), n, 0);
    return (ints)_mm512_movm_epi32(_mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_GT_OQ));
}

/* z > 0 where low <= x <= high. z rises or falls with x; where it is NaN, it is so at the ends or beside what passes. So what
 * passes is one range, and unless it is empty it has infinity in it, -infinity or, if z does not depend on x, what is next to
 * the mean. Its ends are found by halving. */
INLINE void norm_bounds(norm_lanes n, lanes *low, lanes *high) {
    const ints up = (ints){0} + BF16_INFINITY;
    ints sign = (ints)n.mean >> 31, mean = ((((ints)n.mean & INT32_MAX) >> 16) ^ sign) - sign;
    ints within = chosen(lets_through(up, n), up, chosen(lets_through(-up, n), -up, mean));
    ints some = lets_through(within, n);
    /* The values beyond the infinities are NaNs, which never pass. */
    ints below = -up - 1, first = within, last = within, above = up + 1;
    for (int i = 0; i < 17; i++) {
        ints a = (below + first) >> 1, b = (last + above) >> 1, low_passes = lets_through(a, n), high_passes = lets_through(b, n);
        first = chosen(low_passes, a, first);
        below = chosen(low_passes, below, a);
        last = chosen(high_passes, b, last);
        above = chosen(high_passes, above, b);
    }
    *low = bf16_numbered(chosen(some, first, up));
    *high = bf16_numbered(chosen(some, last, -up));
}

/* v where low <= x <= high, else 0. */
INLINE lanes passed(lanes v, lanes x, lanes low, lanes high) {
    __mmask16 m = _mm512_cmp_ps_mask((__m512)x, (__m512)low, _CMP_GE_OQ);
    m = _mm512_mask_cmp_ps_mask(m, (__m512)x, (__m512)high, _CMP_LE_OQ);
    return (lanes)_mm512_maskz_mov_ps(m, (__m512)v);
}
#endif

#endif
