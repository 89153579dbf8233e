/* Randomness as a function of seed, step, op and place: nothing is stored, any pass and any thread can ask again. */
#ifndef IST_RANDOM_H
#define IST_RANDOM_H

#include "kernel.h"

#define GOLDEN 0x9E3779B97F4A7C15u

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* What one op draws from in one step; state[0] = seed, state[1] = step. */
INLINE uint64_t key_of(const int64_t *state, int op) {
    return mix((uint64_t)state[0] ^ mix((uint64_t)state[1] * GOLDEN + (uint64_t)(int64_t)op));
}

/* The i-th draw: 24 random bits. */
INLINE uint64_t draw(uint64_t key, int64_t i) { return mix(key + (uint64_t)i * GOLDEN) >> 40; }

#endif
