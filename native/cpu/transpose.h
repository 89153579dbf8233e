/* Transposing 16x16 numbers of 32 bits in registers. */
#ifndef IST_TRANSPOSE_H
#define IST_TRANSPOSE_H

#include "bf16.h"

#if defined(__AVX512BF16__)
/* Writes the columns of what `a` holds as rows, ld apart, of which the elements `some` are written; a is changed. */
INLINE void transpose(__m512 a[16], float *to, int64_t ld, __mmask16 some) {
    __m512 b[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4)
        UNROLL for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = (__m512)_mm512_unpacklo_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
            a[i + 2 * k + 1] = (__m512)_mm512_unpackhi_pd((__m512d)b[i + k], (__m512d)b[i + k + 2]);
        }
    UNROLL for (int i = 0; i < 16; i += 8)
        UNROLL for (int k = 0; k < 4; k++) {
            b[i + k] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0x88);
            b[i + k + 4] = _mm512_shuffle_f32x4(a[i + k], a[i + k + 4], 0xdd);
        }
    UNROLL for (int k = 0; k < 8; k++) {
        _mm512_mask_storeu_ps(to + k * ld, some, _mm512_shuffle_f32x4(b[k], b[k + 8], 0x88));
        _mm512_mask_storeu_ps(to + (k + 8) * ld, some, _mm512_shuffle_f32x4(b[k], b[k + 8], 0xdd));
    }
}
#endif

#endif
