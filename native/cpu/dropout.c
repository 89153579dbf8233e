/* Dropout whose mask is a function of seed, step, op and place, so that nothing is stored for the backward pass. */
#include "kernel.h"

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
INLINE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

#define GOLDEN 0x9E3779B97F4A7C15u

INLINE void dropout_range(int dt, const void *x, void *y, float p, uint64_t key, int64_t from, int64_t to) {
    /* 24 random bits as a number in [0, 1) are at least p exactly if they are at least this. */
    uint64_t threshold = (uint64_t)ceil((double)p * 0x1p24);
    float scale = 1 / (1 - p);
    SIMD for (int64_t i = from; i < to; i++) {
        float kept = load(dt, x, i) * scale;
        store(dt, y, i, mix(key + (uint64_t)i * GOLDEN) >> 40 >= threshold ? kept : 0);
    }
}

int KERNEL(dropout)(int dtype, const void *x, void *y, float p, const int64_t *state, int op, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    REQUIRE(p >= 0 && p < 1, "%s: the probability %g is not in [0, 1)", __func__, p);
    uint64_t key = mix((uint64_t)state[0] ^ mix((uint64_t)state[1] * GOLDEN + (uint64_t)(int64_t)op));
    PARALLEL(n, n, GRAIN, TYPED(dtype, dropout_range, x, y, p, key, from, to));
    return IST_OK;
}
