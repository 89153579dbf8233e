/* Channels side by side (concatenation and its slices), and one factor a sample and channel. */
#include "kernel.h"

static void columns_range(const char *x, int64_t x_step, char *y, int64_t y_step, int64_t bytes, int64_t from,
                          int64_t to) {
    for (int64_t r = from; r < to; r++) memcpy(y + r * y_step, x + r * x_step, (size_t)bytes);
}

int KERNEL(copy_columns)(int dtype, const void *x, int64_t ldx, void *y, int64_t ldy, int64_t rows, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(rows >= 0 && c > 0 && min64(ldx, ldy) >= c, "%s: %lld rows of %lld, %lld and %lld apart", __func__,
            (long long)rows, (long long)c, (long long)ldx, (long long)ldy);
    int64_t size = dtype == IST_BF16 ? 2 : 4;
    PARALLEL(rows * c, rows, 1, columns_range(x, ldx * size, y, ldy * size, c * size, from, to));
    return IST_OK;
}

INLINE void scale_row(int dt, const void *x, const void *s, void *y, int64_t c) {
    SIMD for (int64_t j = 0; j < c; j++) store(dt, y, j, load(dt, x, j) * load(dt, s, j));
}

INLINE void scale_range(int dt, const void *x, const void *s, void *y, int64_t rows, int64_t c, int64_t from,
                        int64_t to) {
    for (int64_t r = from; r < to; r++)
        scale_row(dt, offset(dt, x, r * c), offset(dt, s, r / rows * c), (void *)offset(dt, y, r * c), c);
}

#define REQUIRE_SAMPLES \
    REQUIRE_DTYPE(dtype); \
    REQUIRE(n >= 0 && rows > 0 && c > 0, "%s: %lld samples of %lld rows of %lld channels", __func__, (long long)n, \
            (long long)rows, (long long)c)

int KERNEL(scale_channels)(int dtype, const void *x, const void *s, void *y, int64_t n, int64_t rows, int64_t c) {
    REQUIRE_SAMPLES;
    PARALLEL(n * rows * c, n * rows, 1, TYPED(dtype, scale_range, x, s, y, rows, c, from, to));
    return IST_OK;
}

/* So many rows are summed in float32 before the float64 sums take them. */
#define ROWS 16

/* A block of channels of one sample: its rows are scaled, and dy x is summed. */
INLINE void scale_backward_block(int dt, const void *x, const void *s, const void *dy, void *dx, void *ds, int64_t rows,
                                 int64_t c, int64_t width) {
    double total[64] = {0};
    for (int64_t r0 = 0; r0 < rows; r0 += ROWS) {
        float sum[64] = {0};
        for (int64_t r = r0; r < min64(r0 + ROWS, rows); r++) {
            const void *xr = offset(dt, x, r * c), *dr = offset(dt, dy, r * c);
            void *out = (void *)offset(dt, dx, r * c);
            SIMD for (int64_t j = 0; j < width; j++) {
                float d = load(dt, dr, j);
                sum[j] += d * load(dt, xr, j);
                store(dt, out, j, d * load(dt, s, j));
            }
        }
        for (int64_t j = 0; j < width; j++) total[j] += sum[j];
    }
    for (int64_t j = 0; j < width; j++) store(dt, ds, j, (float)total[j]);
}

/* Work is cut into blocks of 64 channels of a sample: as many for one sample as for a batch of narrow ones. */
INLINE void scale_backward_range(int dt, const void *x, const void *s, const void *dy, void *dx, void *ds, int64_t rows,
                                 int64_t c, int64_t from, int64_t to) {
    int64_t blocks = (c + 63) / 64;
    for (int64_t b = from; b < to; b++) {
        int64_t i = b / blocks, j = b % blocks * 64, at = i * rows * c + j;
        scale_backward_block(dt, offset(dt, x, at), offset(dt, s, i * c + j), offset(dt, dy, at),
                             (void *)offset(dt, dx, at), (void *)offset(dt, ds, i * c + j), rows, c, min64(64, c - j));
    }
}

int KERNEL(scale_channels_backward)(int dtype, const void *x, const void *s, const void *dy, void *dx, void *ds,
                                    int64_t n, int64_t rows, int64_t c) {
    REQUIRE_SAMPLES;
    PARALLEL(n * rows * c, n * ((c + 63) / 64), 1,
             TYPED(dtype, scale_backward_range, x, s, dy, dx, ds, rows, c, from, to));
    return IST_OK;
}
