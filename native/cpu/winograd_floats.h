/*
 * Blocks of channels in float32, the even ones apart from the odd ones: of two bf16 in a word, the upper one is a float but
 * for the bits below, and the lower one is a shift away.
 */
#ifndef IST_WINOGRAD_FLOATS_H
#define IST_WINOGRAD_FLOATS_H

#include "norm_input.h"
#include "winograd.h"

#if defined(__AVX512BF16__)

#define LANES 16

/* BLOCK channels in float32: even ones, odd ones. */
typedef struct floats {
    __m512 even, odd;
} floats;

INLINE floats floats_of(__m512i x) {
    return (floats){(__m512)_mm512_slli_epi32(x, 16), (__m512)_mm512_and_si512(x, _mm512_set1_epi32(-65536))};
}

/* BLOCK numbers, split as words are. */
INLINE floats split_at(const float *v) {
    __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512 low = _mm512_loadu_ps(v), high = _mm512_loadu_ps(v + LANES);
    return (floats){_mm512_permutex2var_ps(low, even, high),
                    _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high)};
}

INLINE floats plus(floats a, floats b) { return (floats){a.even + b.even, a.odd + b.odd}; }
INLINE floats minus(floats a, floats b) { return (floats){a.even - b.even, a.odd - b.odd}; }

/* minus by the multipliers, which have nothing to do where there are only sums. */
INLINE floats minus_product(floats a, floats b) {
    __m512 one = _mm512_set1_ps(1);
    return (floats){_mm512_fnmadd_ps(b.even, one, a.even), _mm512_fnmadd_ps(b.odd, one, a.odd)};
}

/* A norm with its numbers in the order of floats, block by block of channels; y = max(z, least). */
typedef struct split_norm {
    int on; /* whether there is one */
    float least;
    norm_input numbers;
} split_norm;

/* room: [4, c]. */
static split_norm split_norm_of(const ist_norm *n, int64_t c, float *room) {
    split_norm s = {n != NULL, -INFINITY, {room, room + c, room + 2 * c, 0}};
    if (!n) return s;
    norm_input from = norm_input_of(n, c, room + 3 * c);
    if (from.relu) s.least = 0;
    for (int64_t i = 0; i < c; i++) {
        int64_t to = i / BLOCK * BLOCK + i % 2 * LANES + i % BLOCK / 2;
        room[to] = from.mean[i];
        room[c + to] = from.factor[i];
        room[2 * c + to] = from.beta[i];
    }
    return s;
}
#endif

#endif
