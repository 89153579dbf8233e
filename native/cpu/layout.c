/* Channels first and last; sums and sums with a vector over columns. */
#include "kernel.h"

#define TILE 16

/* y [b,a] = x [a,b], tile by tile, so that both sides are read and written by cache lines. */
INLINE void transpose(int from_type, const void *x, int to_type, void *y, int64_t a, int64_t b, int64_t x_at,
                      int64_t first, int64_t last) {
    for (int64_t i0 = first; i0 < last; i0 += TILE)
        for (int64_t j0 = 0; j0 < b; j0 += TILE)
            for (int64_t j = j0; j < min64(j0 + TILE, b); j++)
                for (int64_t i = i0; i < min64(i0 + TILE, last); i++)
                    store(to_type, y, x_at + j * a + i, load(from_type, x, x_at + i * b + j));
}

INLINE void transpose_range(int from_type, const void *x, int to_type, void *y, int64_t a, int64_t b, int64_t from,
                            int64_t to) {
    for (int64_t r = from; r < to;) {
        int64_t first = r % a, last = min64(a, first + to - r);
        transpose(from_type, x, to_type, y, a, b, r / a * a * b, first, last);
        r += last - first;
    }
}

static void transpose_any(int from_type, const void *x, int to_type, void *y, int64_t a, int64_t b, int64_t from,
                          int64_t to) {
    if (from_type == IST_F32 && to_type == IST_F32) transpose_range(IST_F32, x, IST_F32, y, a, b, from, to);
    else if (from_type == IST_F32) transpose_range(IST_F32, x, IST_BF16, y, a, b, from, to);
    else if (to_type == IST_F32) transpose_range(IST_BF16, x, IST_F32, y, a, b, from, to);
    else transpose_range(IST_BF16, x, IST_BF16, y, a, b, from, to);
}

int KERNEL(channels_first)(int from_type, const void *x, int to_type, void *y, int64_t n, int64_t s, int64_t c) {
    REQUIRE_DTYPE(from_type);
    REQUIRE_DTYPE(to_type);
    REQUIRE(n >= 0 && s > 0 && c > 0, "%s: [%lld,%lld,%lld]", __func__, (long long)n, (long long)s, (long long)c);
    PARALLEL(n * s * c, n * s, TILE, transpose_any(from_type, x, to_type, y, s, c, from, to));
    return IST_OK;
}

int KERNEL(channels_last)(int from_type, const void *x, int to_type, void *y, int64_t n, int64_t s, int64_t c) {
    REQUIRE_DTYPE(from_type);
    REQUIRE_DTYPE(to_type);
    REQUIRE(n >= 0 && s > 0 && c > 0, "%s: [%lld,%lld,%lld]", __func__, (long long)n, (long long)s, (long long)c);
    PARALLEL(n * s * c, n * c, TILE, transpose_any(from_type, x, to_type, y, c, s, from, to));
    return IST_OK;
}

INLINE void column_range(int dt, const void *x, int64_t ldx, double *restrict sum, int64_t c, int64_t from,
                         int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *row = offset(dt, x, r * ldx);
        SIMD for (int64_t j = 0; j < c; j++) sum[j] += load(dt, row, j);
    }
}

int KERNEL(column_sum)(int dtype, const void *x, int64_t ldx, float *sum, int64_t rows, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(rows >= 0 && c > 0 && ldx >= c, "%s: %lld rows of %lld, %lld apart", __func__, (long long)rows,
            (long long)c, (long long)ldx);
    int threads = omp_get_max_threads();
    double *part = calloc((size_t)(threads * c), sizeof(double));
    if (!part) return ist_fail(IST_OUT_OF_MEMORY, "%s: no memory for %lld columns", __func__, (long long)c);
    PARALLEL(rows * c, rows, 1, {
        double *mine = part + omp_get_thread_num() * c;
        TYPED(dtype, column_range, x, ldx, mine, c, from, to);
    });
    for (int64_t j = 0; j < c; j++) {
        double all = 0;
        for (int t = 0; t < threads; t++) all += part[t * c + j];
        sum[j] = (float)all;
    }
    free(part);
    return IST_OK;
}

INLINE void bias_range(int dt, const void *x, const float *bias, void *y, int64_t c, int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) {
        const void *row = offset(dt, x, r * c);
        void *out = (void *)offset(dt, y, r * c);
        SIMD for (int64_t j = 0; j < c; j++) store(dt, out, j, load(dt, row, j) + bias[j]);
    }
}

int KERNEL(add_bias)(int dtype, const void *x, const float *bias, void *y, int64_t rows, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(rows >= 0 && c > 0, "%s: %lld rows of %lld", __func__, (long long)rows, (long long)c);
    PARALLEL(rows * c, rows, 1, TYPED(dtype, bias_range, x, bias, y, c, from, to));
    return IST_OK;
}
