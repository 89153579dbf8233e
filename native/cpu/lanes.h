/* Vectors of channels, for kernels that keep sums in registers. */
#ifndef IST_LANES_H
#define IST_LANES_H

#include "kernel.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#define VECS 2 /* vectors of channels side by side: as many as registers allow */
#elif defined(__AVX2__)
#define LANES 8
#define VECS 1
#else
#define LANES 4
#define VECS 1
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef uint32_t bits __attribute__((vector_size(LANES * 4)));
typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
typedef uint8_t bytes __attribute__((vector_size(LANES)));

/* Conversions by one instruction where there is one: compilers are seen to take a vector apart for them. */
INLINE bits of_halves(halves h) {
#if defined(__AVX512F__)
    return (bits)_mm512_cvtepu16_epi32((__m256i)h);
#elif defined(__AVX2__)
    return (bits)_mm256_cvtepu16_epi32((__m128i)h);
#else
    return __builtin_convertvector(h, bits);
#endif
}

INLINE halves to_halves(bits b) {
#if defined(__AVX512F__)
    return (halves)_mm512_cvtepi32_epi16((__m512i)b);
#else
    return __builtin_convertvector(b, halves);
#endif
}

INLINE bits of_bytes(const uint8_t *p) {
#if defined(__AVX512F__)
    return (bits)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (bits)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    bytes b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, bits);
#endif
}

INLINE bytes to_bytes(bits b) {
#if defined(__AVX512F__)
    return (bytes)_mm512_cvtepi32_epi8((__m512i)b);
#else
    return __builtin_convertvector(__builtin_convertvector(b, halves), bytes);
#endif
}

INLINE vec take(int dt, const void *p, int64_t i) {
    if (dt == IST_BF16) {
        halves h;
        memcpy(&h, (const uint16_t *)p + i, sizeof h);
        return (vec)(of_halves(h) << 16);
    }
    vec v;
    memcpy(&v, (const float *)p + i, sizeof v);
    return v;
}

INLINE void put(int dt, void *p, int64_t i, vec v) {
    if (dt == IST_BF16) {
        bits x = (bits)v, nan = (bits)((x & 0x7fffffffu) > 0x7f800000u);
        bits rounded = (x + 0x7fffu + ((x >> 16) & 1)) >> 16, quiet = (x >> 16) | 0x40u;
        halves h = to_halves((nan & quiet) | (~nan & rounded));
        memcpy((uint16_t *)p + i, &h, sizeof h);
    } else {
        memcpy((float *)p + i, &v, sizeof v);
    }
}

#endif
