/* Grey squares, as they come in a batch, to the pictures that a network sees; how a square lies in memory: isthmus.h. */
#include "kernel.cuh"

#define TONES 48
#define PIXELS (TONES + 1024)

/* What a channel's values become: (v - mean) scale. */
struct Channels {
    float mean[4], scale[4];
};

INLINE i64 clamped(i64 v, i64 most) { return v < 0 ? 0 : v > most ? most : v; }

INLINE float fraction(i64 place) { return (float)(int)(place >> 8 & 0xffffff) * 0x1p-24f; }

/* The blend of the four pixels around a place, after their tones. */
INLINE float blend(const unsigned char *square, int side, i64 x, i64 y) {
    const float *tone = (const float *)(square + TONES);
    i64 most = (i64)(side - 1) << 32;
    x = clamped(x, most);
    y = clamped(y, most);
    int column = (int)(x >> 32), row = (int)(y >> 32);
    const unsigned char *p = square + PIXELS + row * side + column;
    int right = column < side - 1, below = row < side - 1 ? side : 0;
    float a = tone[p[0]], b = tone[p[right]], c = tone[p[below]], d = tone[p[below + right]];
    float top = a + (b - a) * fraction(x), bottom = c + (d - c) * fraction(x);
    return top + (bottom - top) * fraction(y);
}

/* Blocks of one y share a square: numbers inside a picture are 32 bits wide, whose division is cheap. */
template <class T>
INLINE void warp_affine(const unsigned char *x, int side, T *y, const Channels &channels, int n, int size, int c) {
    i64 bytes = (PIXELS + (i64)side * side + 15) / 16 * 16;
    for (int sample = blockIdx.y; sample < n; sample += gridDim.y) {
        const unsigned char *square = x + sample * bytes;
        const i64 *place = (const i64 *)square;
        T *out = y + (i64)sample * size * size * c;
        for (int i = blockIdx.x * THREADS + threadIdx.x; i < size * size; i += gridDim.x * THREADS) {
            int u = i % size, v = i / size;
            float grey = blend(square, side, place[0] + u * place[2] + v * place[4],
                               place[1] + u * place[3] + v * place[5]);
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (j < c) out[(i64)i * c + j] = from_float<T>((grey - channels.mean[j]) * channels.scale[j]);
        }
    }
}

#define WARP(S, T) \
    KERNEL warp_affine_##S(const unsigned char *x, int side, T *y, Channels channels, int n, int size, int c) { \
        warp_affine(x, side, y, channels, n, size, c); \
    } \
    HOST_KERNEL(warp_affine_##S)
EVERY_TYPE(WARP)
