/* Grey squares, as they come in a batch, to the pictures that a network sees. */
#include "kernel.h"

#define TONES 48
#define PIXELS (TONES + 1024)
/* Points that are worked on together: enough for vectors, few enough for the nearest cache. */
#define RUN 64

typedef struct square {
    int64_t place[6];
    const float *tone;
    const uint8_t *pixel;
    int64_t side;
} square;

INLINE square square_at(const uint8_t *x, int64_t side) {
    square s = {{0}, (const float *)(x + TONES), x + PIXELS, side};
    memcpy(s.place, x, sizeof s.place);
    return s;
}

INLINE int64_t clamped(int64_t v, int64_t most) { return v < 0 ? 0 : v > most ? most : v; }

/* n points of a row, from the place (x, y) on in steps of (dx, dy). */
INLINE void blend_run(const square *s, int64_t x, int64_t y, int64_t dx, int64_t dy, int64_t n, float *grey) {
    float fx[RUN], fy[RUN], corner[4][RUN];
    int32_t at[RUN], right[RUN], below[RUN];
    int64_t last = s->side - 1, most = last << 32;
    SIMD for (int64_t i = 0; i < n; i++) {
        int64_t px = clamped(x + i * dx, most), py = clamped(y + i * dy, most);
        int64_t column = px >> 32, row = py >> 32;
        fx[i] = (float)(int32_t)(px >> 8 & 0xffffff) * 0x1p-24f;
        fy[i] = (float)(int32_t)(py >> 8 & 0xffffff) * 0x1p-24f;
        at[i] = (int32_t)(row * s->side + column);
        right[i] = column < last;
        below[i] = row < last ? (int32_t)s->side : 0;
    }
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *p = s->pixel + at[i];
        corner[0][i] = s->tone[p[0]];
        corner[1][i] = s->tone[p[right[i]]];
        corner[2][i] = s->tone[p[below[i]]];
        corner[3][i] = s->tone[p[below[i] + right[i]]];
    }
    SIMD for (int64_t i = 0; i < n; i++) {
        float top = corner[0][i] + (corner[1][i] - corner[0][i]) * fx[i];
        float bottom = corner[2][i] + (corner[3][i] - corner[2][i]) * fx[i];
        grey[i] = top + (bottom - top) * fy[i];
    }
}

INLINE void warp_rows(int dt, const uint8_t *x, int64_t bytes, int64_t side, void *y, const float *mean,
                      const float *scale, int64_t size, int64_t c, int64_t from, int64_t to) {
    float grey[RUN];
    for (int64_t r = from; r < to; r++) {
        square s = square_at(x + r / size * bytes, side);
        int64_t v = r % size;
        for (int64_t u = 0; u < size; u += RUN) {
            int64_t n = min64(RUN, size - u), out = (r * size + u) * c;
            blend_run(&s, s.place[0] + u * s.place[2] + v * s.place[4], s.place[1] + u * s.place[3] + v * s.place[5],
                      s.place[2], s.place[3], n, grey);
            for (int64_t j = 0; j < c; j++) {
                float middle = mean[j], factor = scale[j];
                SIMD for (int64_t i = 0; i < n; i++) store(dt, y, out + i * c + j, (grey[i] - middle) * factor);
            }
        }
    }
}

int KERNEL(warp_affine)(const uint8_t *x, int64_t side, int dtype, void *y, const float *mean, const float *scale,
                        int64_t n, int64_t size, int64_t c) {
    REQUIRE_DTYPE(dtype);
    REQUIRE(side > 0 && side <= 32768, "%s: squares of %lld pixels a side", __func__, (long long)side);
    REQUIRE(n >= 0 && size > 0 && c > 0, "%s: %lld pictures of %lld pixels a side and %lld channels", __func__,
            (long long)n, (long long)size, (long long)c);
    REQUIRE(((uintptr_t)x & 15) == 0, "%s: squares lie at multiples of 16 bytes", __func__);
    int64_t bytes = (PIXELS + side * side + 15) / 16 * 16;
    PARALLEL(n * size * size, n * size, 1,
             TYPED(dtype, warp_rows, x, bytes, side, y, mean, scale, size, c, from, to));
    return IST_OK;
}
