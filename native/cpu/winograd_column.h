/*
 * Products of one block of channels with one tap, whose sums are of few products each: a column of points at once. Its
 * weights lie in the order in which they are read, so that the processor foresees them.
 */
#ifndef IST_WINOGRAD_COLUMN_H
#define IST_WINOGRAD_COLUMN_H

#include "winograd_woven.h"

/* So many tiles are multiplied at once. */
#define PASS 3

/* Elements of the weights of a pair of channels at a column of points; and of all pairs. */
#define COLUMN_PAIR (4 * 2 * BLOCK)
#define COLUMN (COLUMN_PAIR * BLOCK / 2)

#if defined(__AVX512BF16__)

/* Of PASS tiles, combined along the height, which is the first half of A'm A: half as many sums are stored. A store of 64
 * bytes takes the time of two products (Zen 5). Two pairs of channels in a step, not more: with more places in the code that
 * read weights the processor foresees less of them. u: [channel pair, 4, BLOCK, 2]. */
static __attribute__((noinline)) void multiply_column(const uint16_t *v, const uint16_t *u, float *sum) {
    __m512 s[4][PASS][2];
    UNROLL for (int p = 0; p < 4; p++)
        UNROLL for (int t = 0; t < PASS; t++) s[p][t][0] = s[p][t][1] = _mm512_setzero_ps();
    const char *row = (const char *)v;
    AGAIN (const char *last = row + 2 * BLOCK; row < last; row += 8, u += 2 * COLUMN_PAIR) {
        UNROLL for (int i = 0; i < 8; i++) {
            const uint16_t *w = u + i * 2 * BLOCK;
            __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + BLOCK);
            UNROLL for (int t = 0, p = i % 4; t < PASS; t++) {
                __m512bh x = pair_at(row + 2 * (4 * p * POINT + t * BLOCK) + i / 4 * 4);
                s[p][t][0] = _mm512_dpbf16_ps(s[p][t][0], x, w0);
                s[p][t][1] = _mm512_dpbf16_ps(s[p][t][1], x, w1);
            }
        }
    }
    UNROLL for (int t = 0; t < PASS; t++)
        UNROLL for (int half = 0; half < 2; half++) {
            float *to = sum + t * BLOCK + half * LANES;
            _mm512_storeu_ps(to, s[0][t][half] + s[1][t][half] + s[2][t][half]);
            _mm512_storeu_ps(to + 4 * POINT, s[1][t][half] - s[2][t][half] - s[3][t][half]);
        }
}
#endif

#endif
