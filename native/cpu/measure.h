/*
 * Mean and variance of each channel of a result in bf16, taken while what has just been written is still in the first cache.
 * Each thread adds up in float32 for a while, then in float64; its sums are added in the order of threads.
 */
#ifndef IST_MEASURE_H
#define IST_MEASURE_H

#include "bf16.h"

/* Channels whose sums stand together: those of one half, of the other, and of the squares of both. Of eight channels the first
 * four are in the one, the others in the other, as unpacking takes them apart. */
enum { MEASURED = 32 };

/* One thread's sums of k channels in float32 and in float64: [k / MEASURED, 4, 16] each. */
typedef struct measure {
    float *part;
    double *sums;
    int64_t k;
} measure;

static inline int64_t measure_bytes(int64_t k) { return 2 * k * 8 + 2 * k * 4; }

/* In room of measure_bytes, at an address for float64; all zero. */
static inline measure measure_in(void *room, int64_t k) {
    memset(room, 0, (size_t)measure_bytes(k));
    return (measure){(float *)((double *)room + 2 * k), room, k};
}

#if defined(__AVX512BF16__)
/* Both halves of MEASURED channels. */
INLINE void measure_split(const uint16_t *y, lanes *low, lanes *high) {
    __m512i words = _mm512_loadu_si512(y);
    *low = (lanes)_mm512_unpacklo_epi16(_mm512_setzero_si512(), words);
    *high = (lanes)_mm512_unpackhi_epi16(_mm512_setzero_si512(), words);
}

/* Adds MEASURED channels, from channel c on, of some rows: two at a time, as each sum waits for the one before. */
INLINE void measure_rows(const measure *m, int64_t c, const uint16_t *y, int64_t ldy, int64_t rows) {
    float *part = m->part + 2 * c;
    lanes low = lanes_at(part), high = lanes_at(part + 16), lows = lanes_at(part + 32), highs = lanes_at(part + 48);
    lanes a, b, d = {0}, e = {0};
    int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        measure_split(y + r * ldy, &a, &b);
        measure_split(y + (r + 1) * ldy, &d, &e);
        low += a + d;
        high += b + e;
        lows += a * a + d * d;
        highs += b * b + e * e;
    }
    if (r < rows) {
        measure_split(y + r * ldy, &a, &b);
        low += a;
        high += b;
        lows += a * a;
        highs += b * b;
    }
    memcpy(part, &low, 64);
    memcpy(part + 16, &high, 64);
    memcpy(part + 32, &lows, 64);
    memcpy(part + 48, &highs, 64);
}

/* The same for an even number of rows that are in registers still: reading them back waits for the stores. Two rows are added
 * at once, as products with one and with themselves: what counts here is to take few instructions. */
INLINE void measure_words(const measure *m, int64_t c, const __m512i *y, int rows) {
    float *part = m->part + 2 * c;
    __m512 low = _mm512_loadu_ps(part), high = _mm512_loadu_ps(part + 16);
    __m512 lows = _mm512_loadu_ps(part + 32), highs = _mm512_loadu_ps(part + 48);
    __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    UNROLL for (int r = 0; r < rows; r += 2) {
        __m512bh a = (__m512bh)_mm512_unpacklo_epi16(y[r], y[r + 1]), b = (__m512bh)_mm512_unpackhi_epi16(y[r], y[r + 1]);
        low = _mm512_dpbf16_ps(low, a, ones);
        high = _mm512_dpbf16_ps(high, b, ones);
        lows = _mm512_dpbf16_ps(lows, a, a);
        highs = _mm512_dpbf16_ps(highs, b, b);
    }
    _mm512_storeu_ps(part, low);
    _mm512_storeu_ps(part + 16, high);
    _mm512_storeu_ps(part + 32, lows);
    _mm512_storeu_ps(part + 48, highs);
}
#endif

/* Adds the float32 sums to the float64 ones: to be done every few dozen rows. */
static inline void measure_flush(const measure *m) {
    double *restrict sums = m->sums;
    float *restrict part = m->part;
    SIMD for (int64_t i = 0; i < 2 * m->k; i++) sums[i] += part[i], part[i] = 0;
}

/* Of one channel, from the sums of its values and of their squares. */
static inline void measure_result(double sum, double square, int64_t rows, float *mean, float *variance) {
    double m = sum / (double)rows, v = square / (double)rows - m * m;
    *mean = (float)m;
    *variance = (float)(v < 0 ? 0 : v);
}

/* From what measure_in was given at the start of all threads' rooms of so many bytes. */
static inline void measure_finish(const void *rooms, int64_t bytes, int64_t threads, int64_t rows, int64_t k, float *mean,
                                  float *variance) {
    for (int64_t j = 0; j < k; j++) {
        double sum = 0, square = 0;
        int64_t at = 2 * (j - j % MEASURED) + j / 4 % 2 * 16 + j % MEASURED / 8 * 4 + j % 4;
        for (int64_t t = 0; t < threads; t++) {
            const double *sums = (const double *)((const char *)rooms + t * bytes + APART);
            sum += sums[at];
            square += sums[at + MEASURED];
        }
        measure_result(sum, square, rows, mean + j, variance + j);
    }
}

#endif
