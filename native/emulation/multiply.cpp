/* Element types and one matrix product. */
#include "emulation.h"
#include "host_cuda.h"
#include <algorithm>

namespace emulation {
float load(Type t, const void *p, int64_t i) {
    switch (t) {
        case F32: return ((const float *)p)[i];
        case F16: return half_to_float(((const unsigned short *)p)[i]);
        default: return __uint_as_float((unsigned)((const unsigned short *)p)[i] << 16);
    }
}

void store(Type t, void *p, int64_t i, float v) {
    unsigned x = __float_as_uint(v);
    switch (t) {
        case F32: ((float *)p)[i] = v; break;
        case F16: ((unsigned short *)p)[i] = float_to_half(v); break;
        default:
            ((unsigned short *)p)[i] = (unsigned short)((x & 0x7fffffffu) > 0x7f800000u
                                                            ? (x >> 16) | 0x40u
                                                            : (x + 0x7fffu + ((x >> 16) & 1)) >> 16);
    }
}

namespace {
const int64_t DEEP = 128, WIDE = 256; /* a panel of b stays in the second cache; short sums keep float32 precise */

/* c[0..rows, 0..n] += a[rows, k] b[k, n] for a panel. */
__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
void panel(const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, int64_t rows, int64_t n,
           int64_t k) {
    float sum[4][WIDE];
    for (int64_t i = 0; i < rows; i += 4) {
        int64_t four = std::min<int64_t>(4, rows - i);
        for (int64_t r = 0; r < 4; r++)
            for (int64_t j = 0; j < n; j++) sum[r][j] = 0;
        for (int64_t l = 0; l < k; l++) {
            const float *row = b + l * ldb;
            float x[4];
            for (int64_t r = 0; r < 4; r++) x[r] = r < four ? a[(i + r) * lda + l] : 0;
            for (int64_t j = 0; j < n; j++) {
                sum[0][j] += x[0] * row[j];
                sum[1][j] += x[1] * row[j];
                sum[2][j] += x[2] * row[j];
                sum[3][j] += x[3] * row[j];
            }
        }
        for (int64_t r = 0; r < four; r++)
            for (int64_t j = 0; j < n; j++) c[(i + r) * ldc + j] += sum[r][j];
    }
}
} // namespace

void multiply(const float *a, const float *b, float *c, int64_t m, int64_t n, int64_t k) {
    for (int64_t l = 0; l < k; l += DEEP)
        for (int64_t j = 0; j < n; j += WIDE)
            panel(a + l, k, b + l * n + j, n, c + j, n, m, std::min(WIDE, n - j), std::min(DEEP, k - l));
}
} // namespace emulation
