/* The weights of Winograd's convolution, transformed: G g G' of every 3x3, 16 output channels and two channels at a time. */
#ifndef IST_WINOGRAD_TAPS_H
#define IST_WINOGRAD_TAPS_H

#include "winograd_floats.h"

#if defined(__AVX512BF16__)

/* The columns [0, 9) of 16 rows of nine that are `next` floats apart. */
INLINE void columns_of_nine(const float *rows, int64_t next, __m512 to[9]) {
    __m512 a[16], b[16];
    UNROLL for (int i = 0; i < 16; i++) a[i] = _mm512_maskz_loadu_ps(0x1ff, rows + i * next);
    UNROLL for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = (__m512)_mm512_unpacklo_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
            a[i + 2 * k + 1] = (__m512)_mm512_unpackhi_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
        }
    /* Of four rows each, a has the columns 0, 4, 8 and 12 in a[i], and those behind each in the next ones. */
    UNROLL for (int k = 0; k < 4; k++) {
        __m512 low = _mm512_shuffle_f32x4(a[k], a[k + 4], 0x88), high = _mm512_shuffle_f32x4(a[k + 8], a[k + 12], 0x88);
        to[k] = _mm512_shuffle_f32x4(low, high, 0x88);
        if (k == 0) to[8] = _mm512_shuffle_f32x4(low, high, 0xdd);
        low = _mm512_shuffle_f32x4(a[k], a[k + 4], 0xdd);
        high = _mm512_shuffle_f32x4(a[k + 8], a[k + 12], 0xdd);
        to[4 + k] = _mm512_shuffle_f32x4(low, high, 0x88);
    }
}

/* (1, 0, 0; 1/2, 1/2, 1/2; 1/2, -1/2, 1/2; 0, 0, 1) times three that are `step` apart. */
INLINE void points_of(const lanes *g, int step, lanes to[4]) {
    lanes a = g[0], b = g[step], c = g[2 * step];
    to[0] = a;
    to[1] = 0.5f * (a + b + c);
    to[2] = 0.5f * (a - b + c);
    to[3] = c;
}

/* All points of one channel and 16 output channels. */
INLINE void transform_taps(const float *g, int64_t next, int turned, lanes u[POINTS]) {
    __m512 read[9];
    lanes t[9], d[12];
    columns_of_nine(g, next, read);
    UNROLL for (int i = 0; i < 9; i++) t[i] = (lanes)read[turned ? 8 - i : i];
    UNROLL for (int i = 0; i < 3; i++) {
        lanes column[4];
        points_of(t + i, 3, column);
        UNROLL for (int k = 0; k < 4; k++) d[3 * k + i] = column[k];
    }
    UNROLL for (int i = 0; i < 4; i++) points_of(d + 3 * i, 1, u + 4 * i);
}

/* A pair of channels whose 3x3 begin at g and g + 2 along: to [BLOCK, 2] of every point, `below` elements from one to that
 * below and `right` to the next one. Output channels are `next` floats apart. */
INLINE void transform_pair(int turned, const float *g, int64_t along, int64_t next, uint16_t *to, int64_t below,
                           int64_t right) {
    uint16_t order[BLOCK];
    for (int i = 0; i < BLOCK; i++) order[i] = (uint16_t)(i / 2 + i % 2 * LANES);
    __m512i mixed = _mm512_loadu_si512(order);
    for (int64_t half = 0; half < BLOCK; half += LANES, g += LANES * next, to += BLOCK) {
        lanes a[POINTS], b[POINTS];
        transform_taps(g, next, turned, a);
        transform_taps(g + 2 * along, next, turned, b);
        UNROLL for (int i = 0; i < POINTS; i++) {
            __m512i words = (__m512i)_mm512_cvtne2ps_pbh((__m512)b[i], (__m512)a[i]);
            _mm512_storeu_si512(to + i / 4 * below + i % 4 * right, _mm512_permutexvar_epi16(mixed, words));
        }
    }
}

#endif

#endif
