/* Vectors of channels, for kernels that keep sums in registers. */
#ifndef IST_LANES_H
#define IST_LANES_H

#include "kernel.h"

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

INLINE vec take(int dt, const void *p, int64_t i) {
    if (dt == IST_BF16) {
        halves h;
        memcpy(&h, (const uint16_t *)p + i, sizeof h);
        return (vec)(__builtin_convertvector(h, bits) << 16);
    }
    vec v;
    memcpy(&v, (const float *)p + i, sizeof v);
    return v;
}

INLINE void put(int dt, void *p, int64_t i, vec v) {
    if (dt == IST_BF16) {
        bits x = (bits)v, nan = (bits)((x & 0x7fffffffu) > 0x7f800000u);
        bits rounded = (x + 0x7fffu + ((x >> 16) & 1)) >> 16, quiet = (x >> 16) | 0x40u;
        halves h = __builtin_convertvector((nan & quiet) | (~nan & rounded), halves);
        memcpy((uint16_t *)p + i, &h, sizeof h);
    } else {
        memcpy((float *)p + i, &v, sizeof v);
    }
}

#endif
