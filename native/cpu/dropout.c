/* Dropout and stochastic depth whose mask is a function of seed, step, op and place, so that nothing is stored for the backward pass. */
#include "random.h"

/* 24 random bits as a number in [0, 1) are at least p exactly if they are at least this. */
INLINE uint64_t threshold_of(float p) { return (uint64_t)ceil((double)p * 0x1p24); }

INLINE int kept(uint64_t key, int64_t i, uint64_t threshold) { return draw(key, i) >= threshold; }

INLINE void dropout_range(int dt, const void *x, void *y, float p, uint64_t key, int64_t from, int64_t to) {
    uint64_t threshold = threshold_of(p);
    float scale = 1 / (1 - p);
    SIMD for (int64_t i = from; i < to; i++) {
        float v = load(dt, x, i) * scale;
        store(dt, y, i, kept(key, i, threshold) ? v : 0);
    }
}

int KERNEL(dropout)(int dtype, const void *x, void *y, float p, const int64_t *state, int op, int64_t n) {
    REQUIRE_DTYPE(dtype);
    REQUIRE_SIZE(n);
    REQUIRE(p >= 0 && p < 1, "%s: the probability %g is not in [0, 1)", __func__, p);
    uint64_t key = key_of(state, op);
    PARALLEL(n, n, GRAIN, TYPED(dtype, dropout_range, x, y, p, key, from, to));
    return IST_OK;
}

/* Elements [from, to) of samples that lie one after the other. */
INLINE void depth_range(int dt, const void *x, void *y, float p, uint64_t key, int64_t size, int64_t from, int64_t to) {
    uint64_t threshold = threshold_of(p);
    for (int64_t i = from; i < to;) {
        int64_t end = min64(to, (i / size + 1) * size);
        float scale = kept(key, i / size, threshold) ? 1 / (1 - p) : 0;
        if (scale == 0) SIMD for (int64_t j = i; j < end; j++) store(dt, y, j, 0); /* even where x is no number */
        else SIMD for (int64_t j = i; j < end; j++) store(dt, y, j, load(dt, x, j) * scale);
        i = end;
    }
}

int KERNEL(stochastic_depth)(int dtype, const void *x, void *y, float p, const int64_t *state, int op, int64_t n,
                             int64_t size) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(n >= 0 && size > 0, "%s: %lld samples of %lld elements", __func__, (long long)n, (long long)size);
    REQUIRE(p >= 0 && p < 1, "%s: the probability %g is not in [0, 1)", __func__, p);
    uint64_t key = key_of(state, op);
    PARALLEL(n * size, n * size, GRAIN, TYPED(dtype, depth_range, x, y, p, key, size, from, to));
    return IST_OK;
}
